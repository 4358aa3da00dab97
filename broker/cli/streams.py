"""Output that cannot fail: what `broker run` and `broker dev` write, and what handlers print meanwhile.

A disk may be full and a reader may go away (`broker run 2>&1 | head -1`); neither is a reason to stop handling
messages, nor to fail a handler that prints. What cannot be written is lost and counted, below all buffers, so that
nothing is kept back and nothing is written twice.
"""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


class _LossyFile(io.FileIO):
    """An open file whose writes succeed in any case."""

    def __init__(self, descriptor: int, *, closes: bool) -> None:
        super().__init__(descriptor, "w", closefd=closes)
        self.lost_lines = 0
        self.is_failing = False

    def write(self, data: Any) -> int:
        """Writes what can be written of a buffer; claims to have written all."""
        written = self._written(data)
        self.is_failing = written is None
        if written is not None:
            return written
        self.lost_lines += bytes(data).count(b"\n")
        return len(data)

    def _written(self, data: Any) -> int | None:
        """How many bytes were written; None where that failed or would have to wait."""
        try:
            return super().write(data)
        except BrokenPipeError:
            self._forget_reader()
        except OSError:
            pass
        return None

    def _forget_reader(self) -> None:
        """Leads the descriptor nowhere, for libraries and children too that write to it without us."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno(), inheritable=os.get_inheritable(self.fileno()))
        os.close(nowhere)


class LossyStream(io.TextIOWrapper):
    """Text over such a file; a character that the encoding has not is escaped."""

    def __init__(self, descriptor: int, *, encoding: str = "utf-8", line_buffering: bool = True, closes: bool) -> None:
        self._file = _LossyFile(descriptor, closes=closes)
        super().__init__(
            io.BufferedWriter(self._file), encoding=encoding, errors="backslashreplace", line_buffering=line_buffering
        )

    def recovered(self) -> int:
        """How many lines were lost, where lines can be written again; each is told once."""
        if self._file.is_failing:
            return 0
        lost, self._file.lost_lines = self._file.lost_lines, 0
        return lost


def lossy_file(path: Path) -> LossyStream:
    """Opens a file anew for text. Raises `OSError` where that is not possible to begin with."""
    return LossyStream(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), closes=True)


@contextmanager
def lossy_output() -> Iterator[LossyStream]:
    """Lets standard output and standard error never fail while the block runs; yields standard error."""
    before = sys.stdout, sys.stderr
    with _lossy(sys.stdout) as output, _lossy(sys.stderr) as errors:
        sys.stdout, sys.stderr = output, errors
        try:
            yield errors
        finally:
            sys.stdout, sys.stderr = before


@contextmanager
def _lossy(stream: TextIO | None) -> Iterator[LossyStream]:
    """The same file under another name; nowhere where the process was started without the stream."""
    if stream is None:
        nowhere = LossyStream(os.open(os.devnull, os.O_WRONLY), closes=True)
        with nowhere:
            yield nowhere
        return
    stream.flush()
    line_buffering = getattr(stream, "line_buffering", True)
    lossy = LossyStream(stream.fileno(), encoding=stream.encoding, line_buffering=line_buffering, closes=False)
    with lossy:
        yield lossy
