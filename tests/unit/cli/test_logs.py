import json
import logging
from collections.abc import Iterator
from io import StringIO

import pytest
import structlog

from broker.cli.logs import PINNED_LOGGERS, configure_logging, is_for_people


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in PINNED_LOGGERS}
    yield
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_logs_of_both_kinds_are_json_lines_of_one_form() -> None:
    stream = StringIO()
    configure_logging(log_format="json", level="INFO", stream=stream)
    structlog.get_logger("broker").info("batch.settled", batch=1)
    logging.getLogger("shop").warning("out of %s", "stock")
    ours, theirs = map(json.loads, stream.getvalue().splitlines())
    assert (ours["event"], ours["level"], ours["batch"]) == ("batch.settled", "info", 1)
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("out of stock", "warning", "shop")
    assert ours.keys() & theirs.keys() >= {"event", "level", "time"}


@pytest.mark.parametrize("name", PINNED_LOGGERS)
def test_loggers_that_carry_payloads_stay_silent_at_debug(name: str) -> None:
    stream = StringIO()
    configure_logging(log_format="json", level="DEBUG", stream=stream)
    logging.getLogger(f"{name}.parsers").debug("Response body: %s", "swordfish")
    logging.getLogger("shop").debug("mine")
    assert "swordfish" not in stream.getvalue()
    assert "mine" in stream.getvalue()


def test_a_level_above_info_holds_for_the_pinned_loggers_too() -> None:
    stream = StringIO()
    configure_logging(log_format="json", level="ERROR", stream=stream)
    logging.getLogger("botocore.credentials").info("Found credentials")
    assert stream.getvalue() == ""


def test_a_traceback_is_one_field_of_a_json_line() -> None:
    stream = StringIO()
    configure_logging(log_format="json", level="INFO", stream=stream)
    structlog.get_logger("broker").error("mapping.failed", exc_info=ValueError("lost"))
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: lost" in json.loads(line)["exception"]


def test_people_get_short_lines_without_colour_where_there_is_no_terminal() -> None:
    stream = StringIO()
    configure_logging(log_format="console", level="INFO", stream=stream)
    structlog.get_logger("broker").info("batch.settled", batch=1)
    assert "batch.settled" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_auto_is_json_where_no_person_reads() -> None:
    assert not is_for_people("auto", StringIO())
    assert is_for_people("console", StringIO())
    assert not is_for_people("json", StringIO())


def test_a_value_that_json_does_not_know_is_written_as_text() -> None:
    stream = StringIO()
    configure_logging(log_format="json", level="INFO", stream=stream)
    structlog.get_logger("broker").info("x.happened", value={1, 2}, text="\ud800")
    assert json.loads(stream.getvalue())["event"] == "x.happened"
