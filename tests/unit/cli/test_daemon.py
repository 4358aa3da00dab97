"""A log that cannot be written costs lines, never messages."""

import errno
import io
import os

from broker.cli.daemon import log_observer
from broker.model.observation import PageReceived
from broker.model.settings import BrokerSettings

PAGE = PageReceived(count=1, filtered_count=0, known_count=0)
DEBUG = BrokerSettings(log_level="DEBUG", log_format="json")


class FullDisk(io.StringIO):
    """Refuses while it is full."""

    is_full = True

    def write(self, text: str) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_full_disk_loses_the_lines_of_its_time_and_no_other():
    disk = FullDisk()
    observer = log_observer(DEBUG, stream=disk)
    observer.observe("u-1", PAGE)
    disk.is_full = False
    observer.observe("u-2", PAGE)

    assert "u-1" not in disk.getvalue()
    assert "u-2" in disk.getvalue()


def test_a_pipe_that_nobody_reads_any_more_is_no_error_then_or_later():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", buffering=1) as pipe:
        observer = log_observer(DEBUG, stream=pipe)
        observer.observe("u-1", PAGE)
        os.close(reading)
        observer.observe("u-2", PAGE)
        observer.observe("u-3", PAGE)
        pipe.flush()
