"""Runs a command for no longer than whoever started this: ends it when standard input closes.

A process that is killed closes its pipes, so the command ends with it whatever happens. Run by path with the standard
library alone, so that it starts at once: `python -I leash.py COMMAND [ARGUMENT]...`
"""

import os
import signal
import subprocess
import sys
import threading
from typing import NoReturn

GRACE_SECONDS = 3.0
"""Between SIGTERM and SIGKILL."""


def main(command: list[str]) -> NoReturn:
    """Ends with the command's own exit code."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - the user's own command
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    ended = threading.Thread(target=_leave_with, args=(child,), daemon=True)
    ended.start()
    sys.stdin.buffer.read()
    child.terminate()
    ended.join(GRACE_SECONDS)
    child.kill()
    ended.join()
    raise SystemExit(1)


def _leave_with(child: "subprocess.Popen[bytes]") -> None:
    code = child.wait()
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main(sys.argv[1:])
