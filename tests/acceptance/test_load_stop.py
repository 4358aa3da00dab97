"""Stopping while handlers are slow, stuck or absent: the process ends, and what was not handled comes again."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import Ended, Place, Running
from tests.acceptance.load_world import SYNC_HANDLER, Load, wait_until

COUNT = 20
FOR_EVER = 3600

SLOW_ASYNC = f"""
async def handler(event, context):
    print("began", flush=True)
    await asyncio.sleep({FOR_EVER})
"""
SLOW_SYNC = f"""
def handler(event, context):
    print("began", flush=True)
    time.sleep({FOR_EVER})
"""
STUBBORN = f"""
async def handler(event, context):
    print("began", flush=True)
    while True:
        try:
            await asyncio.sleep({FOR_EVER})
        except asyncio.CancelledError:
            print("ignored", flush=True)
"""
BLOCKING = """
async def handler(event, context):
    print("began", flush=True)
    while not os.path.exists("go-on"):
        time.sleep(0.02)
    note(event)
"""
PARENT = f"""
import subprocess

def handler(event, context):
    child = subprocess.Popen(["sleep", "{FOR_EVER}"])
    print("began", flush=True)
    with open(os.environ["NOTES"] + ".pids", "a") as pids:
        pids.write(f"{{os.getpid()}} {{child.pid}}\\n")
    time.sleep({FOR_EVER})
"""


def assert_clean(ended: Ended, code: int) -> None:
    assert ended.code == code, ended.text
    assert "Traceback" not in ended.text
    assert "bug in the broker" not in ended.text


def assert_messages_come_again(load: Load) -> None:
    """Another broker with a handler that works has them all."""
    load.write_handler(SYNC_HANDLER)
    with load.start() as running:
        load.wait_until_all_handled()
        load.wait_until_empty()
        running.signal(signal.SIGTERM)
        assert_clean(running.end(), 0)
    assert load.depth(load.dead_letter_url) == 0


def is_gone(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has asked yet how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def started_and_busy(load: Load) -> Running:
    load.send(COUNT)
    running = load.start()
    running.wait_for("began")
    return running


@pytest.mark.parametrize(
    ("number", "handler", "isolation"),
    [
        (signal.SIGTERM, SLOW_ASYNC, ""),
        (signal.SIGTERM, SLOW_SYNC, ""),
        (signal.SIGTERM, SLOW_SYNC, "Isolation: process, "),
        (signal.SIGINT, SLOW_SYNC, ""),
    ],
    ids=["async", "thread", "process", "ctrl-c"],
)
def test_a_second_signal_ends_at_once_and_the_messages_come_again(
    beside_emulator: Place, sqs: Any, number: signal.Signals, handler: str, isolation: str
) -> None:
    load = Load(
        beside_emulator,
        sqs,
        handler=handler,
        visibility_seconds=2,
        timeout_seconds=2,
        drain_seconds=600,
        extensions=f"{isolation}LongPollSeconds: 1",
    )
    with started_and_busy(load) as running:
        running.signal(number)
        running.wait_for("drain.begun")
        running.signal(number)
        assert_clean(running.end(), 128 + number)
    assert load.handled() == []
    assert_messages_come_again(load)


@pytest.mark.parametrize(
    ("drain_seconds", "signals", "code"),
    [(1, 1, 0), pytest.param(600, 2, 143, marks=pytest.mark.slow), (600, 3, 143)],
    ids=["the drain's end", "a second signal", "a third signal"],
)
def test_a_handler_that_ignores_its_cancellation_does_not_keep_the_broker(
    beside_emulator: Place, sqs: Any, drain_seconds: int, signals: int, code: int
) -> None:
    load = Load(
        beside_emulator, sqs, handler=STUBBORN, timeout_seconds=600, visibility_seconds=600, drain_seconds=drain_seconds
    )
    with started_and_busy(load) as running:
        for said in ("drain.begun", "ignored", "")[:signals]:
            running.signal(signal.SIGTERM)
            running.wait_for(said)
        assert_clean(running.end(), code)


def test_a_thread_that_is_stuck_does_not_outlast_the_drain(beside_emulator: Place, sqs: Any) -> None:
    load = Load(beside_emulator, sqs, handler=SLOW_SYNC, timeout_seconds=1, visibility_seconds=1, drain_seconds=2)
    with started_and_busy(load) as running:
        running.wait_for("invocation.stuck")
        running.signal(signal.SIGTERM)
        assert_clean(running.end(), 0)
    assert_messages_come_again(load)


def test_sigterm_is_honoured_when_a_handler_gives_the_event_loop_back(beside_emulator: Place, sqs: Any) -> None:
    load = Load(beside_emulator, sqs, handler=BLOCKING, timeout_seconds=60, visibility_seconds=60, drain_seconds=600)
    with started_and_busy(load) as running:
        running.signal(signal.SIGTERM)
        assert running.process.poll() is None
        (load.folder / "go-on").touch()
        assert_clean(running.end(), 0)
    assert load.duplicates() == 0
    assert len(load.handled()) + load.depth() == COUNT


def stopped_while_idle(load: Load) -> Ended:
    """SIGTERM while long polls are out, which then bring messages."""
    with load.start() as running:
        load.wait_until(lambda: load.status(running)["statistics"]["outstanding_fetches"] > 0, what="a long poll")
        running.signal(signal.SIGTERM)
        running.wait_for("drain.begun")
        load.send(5)
        return running.end()


@pytest.mark.parametrize("fifo", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["standard", "fifo"])
def test_what_the_last_long_poll_brings_is_handled(beside_emulator: Place, sqs: Any, fifo: bool) -> None:
    """The drain would last ten minutes: the broker waits for its long poll and no longer."""
    load = Load(beside_emulator, sqs, fifo=fifo, receives=1, drain_seconds=600, extensions="LongPollSeconds: 2")
    assert_clean(stopped_while_idle(load), 0)
    assert_messages_come_again(load)
    assert {each.receive_count for each in load.handled()} == {1}
    assert load.duplicates() == 0


@pytest.mark.parametrize("fifo", [pytest.param(False, marks=pytest.mark.slow), True], ids=["standard", "fifo"])
def test_what_the_last_long_poll_brings_too_late_is_released_in_order(
    beside_emulator: Place, sqs: Any, fifo: bool
) -> None:
    """The drain does not cover the function's timeout; visibility 0, or the next broker would wait ten minutes."""
    load = Load(
        beside_emulator,
        sqs,
        fifo=fifo,
        timeout_seconds=4,
        drain_seconds=4,
        visibility_seconds=600,
        extensions="LongPollSeconds: 20",
    )
    assert_clean(stopped_while_idle(load), 0)
    assert load.handled() == []
    assert_messages_come_again(load)
    assert load.duplicates() == 0
    assert load.order() == {"0": [0, 1, 2, 3, 4]}


def test_a_busy_child_does_not_outlive_a_broker_that_was_killed(beside_emulator: Place, sqs: Any) -> None:
    load = Load(
        beside_emulator,
        sqs,
        handler=PARENT,
        timeout_seconds=600,
        visibility_seconds=600,
        extensions="Isolation: process, LongPollSeconds: 1",
    )
    pids = Path(f"{load.notes}.pids")
    with started_and_busy(load) as running:
        wait_until(pids.exists, what="a child at work")
        wait_until(lambda: len(pids.read_text().split()) >= 4, what="two children at work")
        running.signal(signal.SIGKILL)
        running.end()
    left = [int(pid) for pid in pids.read_text().split()]
    wait_until(lambda: all(is_gone(pid) for pid in left), what="the end of every child and grandchild", seconds=30)
    assert os.getpid() not in left
