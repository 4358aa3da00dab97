"""Handlers for the conformance of executors: plain functions that another process can import."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel


def succeed(event: Any, context: Any) -> Any:
    return {"count": len(event["Records"]), "id": context.aws_request_id, "arn": context.invoked_function_arn}


def nothing(event: Any, context: Any) -> None:
    return None


def fail(event: Any, context: Any) -> None:
    raise ValueError("bad order")


def oversize(event: Any, context: Any) -> str:
    return "x" * 6_291_556


def unmarshallable(event: Any, context: Any) -> Any:
    return {"ids": {1, 2}}


def leave(event: Any, context: Any) -> None:
    raise SystemExit(3)


def hang(event: Any, context: Any) -> None:
    time.sleep(60)


# ---- what only a process of its own can bear


async def count_async(event: Any, context: Any) -> int:
    await anyio.lowlevel.checkpoint()
    return len(event["Records"])


async def hang_async(event: Any, context: Any) -> None:
    with anyio.CancelScope(shield=True):
        await anyio.sleep(60)


def die(event: Any, context: Any) -> None:
    os._exit(3)


def segfault(event: Any, context: Any) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def speak(event: Any, context: Any) -> str:
    sys.stdout.write("to the output\n")
    sys.stderr.write("to the errors\n")
    return sys.stdin.read()


def flood(event: Any, context: Any) -> int:
    return sum(os.write(1, b"x" * 65_536) for _ in range(16))


def process_id(event: Any, context: Any) -> list[Any]:
    return [os.getpid(), context.log_stream_name]


def beget(event: Any, context: Any) -> None:
    """Starts a process of its own and hangs."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(event["file"]).write_text(f"{os.getpid()} {child.pid}")
    time.sleep(60)


def beget_and_die(event: Any, context: Any) -> None:
    """Starts a process of its own and ends without it."""
    Path(event["file"]).write_text(str(_sleeper()))
    os._exit(3)


def beget_and_return(event: Any, context: Any) -> list[int]:
    return [os.getpid(), _sleeper()]


def _sleeper() -> int:
    return subprocess.Popen(["sleep", "60"]).pid


def meet(event: Any, context: Any) -> int:
    """Returns when as many as wanted run at once."""
    folder = Path(event["folder"])
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < event["count"]:
        time.sleep(0.01)
    return os.getpid()


def remaining(event: Any, context: Any) -> list[int]:
    return [os.getpid(), context.get_remaining_time_in_millis()]


def echo_size(event: Any, context: Any) -> int:
    return len(event["text"])


def slow_only_once(event: Any, context: Any) -> str:
    marker = Path(event["file"])
    if not marker.exists():
        marker.touch()
        time.sleep(60)
    return "done"
