"""The installed command as a child process, in a folder and an environment of its own."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

COMMAND = Path(sys.executable).with_name("broker")
PATIENCE_SECONDS = 60.0


@dataclass
class Ended:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass
class Place:
    """A folder in which commands run; nothing of the machine's AWS set-up is visible there."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def run(self, *arguments: str, stdin: str = "") -> Ended:
        done = subprocess.run(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self.variables(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> "Running":
        return Running(self, arguments)

    def variables(self) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "LANG"} or name.startswith("COVERAGE_")
        }
        return {
            **inherited,
            "HOME": str(self.folder),
            "AWS_EC2_METADATA_DISABLED": "true",
            "BROKER_CONTROL_PLANE__LISTEN": "127.0.0.1:0",
            "BROKER_HEALTH__LISTEN": "127.0.0.1:0",
            **self.environment,
        }


class Running:
    """A command that has not ended; ended at the end of the block whatever happens."""

    def __init__(self, place: Place, arguments: tuple[str, ...]) -> None:
        self._out = place.folder / "out.txt"
        self._err = place.folder / "err.txt"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [COMMAND, *arguments], cwd=place.folder, env=place.variables(), stdout=out, stderr=err
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @property
    def text(self) -> str:
        return self._out.read_text() + self._err.read_text()

    def wait_for(self, text: str) -> str:
        """Waits until `text` was written, or fails with what was."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.text:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{text!r} was not written, but:\n{self.text}")
            time.sleep(0.05)
        return self.text

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> Ended:
        code = self.process.wait(PATIENCE_SECONDS)
        return Ended(code, self._out.read_text(), self._err.read_text())
