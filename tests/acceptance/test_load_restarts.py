"""Rolling restarts under steady load: with maxReceiveCount 1 every message that a restart let go would be dead."""

import signal
from contextlib import ExitStack
from typing import Any

import pytest

from tests.acceptance.command import Place, Running
from tests.acceptance.load_world import ASYNC_HANDLER, SYNC_HANDLER, Load

MESSAGES_PER_GENERATION = 30
GROUPS = 10


def drain(running: Running) -> None:
    running.signal(signal.SIGTERM)
    ended = running.end()
    assert ended.code == 0, ended.text
    assert "Traceback" not in ended.text


def finish(load: Load, running: Running) -> None:
    load.wait_until_all_handled()
    load.wait_until_empty()
    drain(running)


def restart_under_load(load: Load, times: int) -> None:
    """Each generation starts before the one before it stops, as a deployment does it, and handles its share."""
    with ExitStack() as generations:
        with load.steady():
            running = generations.enter_context(load.start())
            for _ in range(times):
                load.wait_for_handled(load.handled_count() + MESSAGES_PER_GENERATION)
                successor = generations.enter_context(load.start())
                drain(running)
                running = successor
        finish(load, running)


def stop_and_start_under_load(load: Load, times: int) -> None:
    """Each generation starts after the one before it has ended: messages wait meanwhile."""
    with load.steady():
        for _ in range(times):
            with load.start() as running:
                load.wait_for_handled(load.handled_count() + MESSAGES_PER_GENERATION)
                drain(running)
    with load.start() as running:
        finish(load, running)


def assert_nothing_died(load: Load) -> None:
    print(f"{len(load.sent)} sent, {load.duplicates()} handled again, {load.depth(load.dead_letter_url)} dead")
    assert load.depth(load.dead_letter_url) == 0
    assert load.missing() == set()
    assert load.duplicates() == 0
    assert {each.receive_count for each in load.handled()} == {1}


def test_five_rolling_restarts_under_load_leave_the_dead_letter_queue_empty(beside_emulator: Place, sqs: Any) -> None:
    load = Load(beside_emulator, sqs, handler=ASYNC_HANDLER, receives=1)
    restart_under_load(load, 5)
    assert_nothing_died(load)


@pytest.mark.slow
@pytest.mark.parametrize("handler", [SYNC_HANDLER, ASYNC_HANDLER], ids=["sync", "async"])
@pytest.mark.parametrize("restart", [restart_under_load, stop_and_start_under_load])
def test_twenty_restarts_under_load_leave_the_dead_letter_queue_empty(
    beside_emulator: Place, sqs: Any, handler: str, restart: Any
) -> None:
    load = Load(beside_emulator, sqs, handler=handler, receives=1)
    restart(load, 20)
    assert_nothing_died(load)


@pytest.mark.slow
@pytest.mark.parametrize("restart", [restart_under_load, stop_and_start_under_load])
def test_twenty_restarts_under_load_keep_the_order_of_each_message_group(
    beside_emulator: Place, sqs: Any, restart: Any
) -> None:
    load = Load(beside_emulator, sqs, fifo=True, groups=GROUPS, receives=1)
    restart(load, 20)
    assert_nothing_died(load)
    for group, numbers in load.order().items():
        assert numbers == list(range(len(numbers))), f"group {group}"
