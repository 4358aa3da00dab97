"""Output that cannot be written costs lines, never messages."""

import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from broker.cli.daemon import log_observer
from broker.cli.streams import LossyStream, lossy_file, lossy_output
from broker.model.observation import PageReceived
from broker.model.settings import BrokerSettings

PAGE = PageReceived(count=1, filtered_count=0, known_count=0)
DEBUG = BrokerSettings(log_level="DEBUG", log_format="json")


class Pipe:
    """A pipe that refuses instead of waiting while it is full."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        os.set_blocking(self.writing, False)

    def fill(self) -> None:
        try:
            while True:
                os.write(self.writing, b"x" * 4096)
        except BlockingIOError:
            return

    def read(self) -> str:
        found = b""
        try:
            while chunk := os.read(self.reading, 65536):
                found += chunk
        except BlockingIOError:
            pass
        return found.decode()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    os.close(made.writing)
    if made.reading >= 0:
        os.close(made.reading)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_lines_are_lost_while_there_is_no_room_and_counted_when_there_is(pipe: Pipe) -> None:
    with LossyStream(pipe.writing, closes=False) as stream:
        observer = log_observer(DEBUG, stream=stream)
        pipe.fill()
        observer.observe("u-1", PAGE)
        observer.observe("u-2", PAGE)
        pipe.read()
        observer.observe("u-3", PAGE)
        observer.observe("u-4", PAGE)
    lines = [json.loads(line) for line in pipe.read().splitlines()]
    assert [(line["event"], line.get("mapping"), line.get("lost_count")) for line in lines] == [
        ("page.received", "u-3", None),
        ("log.lines_lost", None, 2),
        ("page.received", "u-4", None),
    ]


def test_a_full_disk_is_no_error() -> None:
    with lossy_file(Path("/dev/full")) as disk:
        print("lost", file=disk)
        assert disk.recovered() == 0


def test_a_pipe_that_nobody_reads_any_more_is_no_error_then_or_later(pipe: Pipe) -> None:
    with LossyStream(pipe.writing, closes=False) as stream:
        os.close(pipe.reading)
        pipe.reading = -1
        print("lost", file=stream)
        print("lost too", file=stream)
    assert os.write(pipe.writing, b"of a library that writes by itself") > 0


def test_what_handlers_print_goes_where_it_did_and_cannot_fail(capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with capfd.disabled(), lossy_output() as errors:
        assert sys.stderr is errors
        assert sys.stdout.fileno() == 1
        assert not sys.stdout.closed
    assert (sys.stdout, sys.stderr) == before


def test_a_process_without_standard_output_has_one_that_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with lossy_output():
        print("lost")


def test_a_text_that_the_encoding_has_not_is_escaped(tmp_path: Path) -> None:
    with lossy_file(tmp_path / "log") as stream:
        print("\ud800", file=stream)
    assert (tmp_path / "log").read_text() == "\\ud800\n"
