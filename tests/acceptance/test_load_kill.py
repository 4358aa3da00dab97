"""kill -9 under load: nothing is lost, and what comes twice was in flight."""

import random
import signal
from typing import Any

import pytest

from tests.acceptance.command import Place
from tests.acceptance.load_world import ASYNC_HANDLER, SYNC_HANDLER, Load

CONCURRENCY = 5
BATCH_SIZE = 10
DELETE_CALLS = 10 + 2 * CONCURRENCY
"""So many deletes may be outstanding before the broker stops receiving: messages handled, but not deleted."""
MOST_IN_HAND = (CONCURRENCY + DELETE_CALLS) * BATCH_SIZE
MESSAGES_PER_KILL = 150
GROUPS = 20
LIMITED = f"    ScalingConfig: {{MaximumConcurrency: {CONCURRENCY}}}\n"


def kill(load: Load, chance: random.Random) -> None:
    """Runs one generation until it is busy, and a random number of messages later ends it without a warning."""
    before = load.handled_count()
    with load.start() as running:
        load.wait_for_handled(before + chance.randrange(1, MESSAGES_PER_KILL))
        running.signal(signal.SIGKILL)
        assert running.end().code == -signal.SIGKILL


def kill_again_and_again(load: Load, times: int) -> None:
    """Kills generation after generation; then one may live until the queue is empty."""
    chance = random.Random(times)
    for _ in range(times):
        load.send(MESSAGES_PER_KILL)
        kill(load, chance)
    with load.start() as running:
        load.wait_until_all_handled()
        load.wait_until_empty()
        running.signal(signal.SIGTERM)
        assert running.end().code == 0


def assert_bounded(load: Load) -> None:
    repeated = load.repeated_by_process()
    print(f"{len(load.sent)} sent, {load.duplicates()} handled again; of each process: {list(repeated.values())}")
    assert load.missing() == set()
    assert load.depth(load.dead_letter_url) == 0
    assert max(repeated.values()) <= MOST_IN_HAND
    assert load.handled_twice_by_one_process() == []


def standard(place: Place, sqs: Any, handler: str) -> Load:
    return Load(place, sqs, handler=handler, visibility_seconds=2, timeout_seconds=1, mapping=LIMITED)


def fifo(place: Place, sqs: Any) -> Load:
    return Load(place, sqs, fifo=True, groups=GROUPS, visibility_seconds=2, timeout_seconds=1, mapping=LIMITED)


def assert_in_order(load: Load) -> None:
    """By the first handling of each: what is handled again begins where the killed process had not deleted."""
    for group, numbers in load.order().items():
        assert numbers == list(range(len(numbers))), f"group {group}"


def test_kill_9_under_load_loses_nothing_and_repeats_only_what_was_in_flight(beside_emulator: Place, sqs: Any) -> None:
    load = standard(beside_emulator, sqs, SYNC_HANDLER)
    kill_again_and_again(load, 2)
    assert_bounded(load)


def test_kill_9_under_load_keeps_the_order_of_each_message_group(beside_emulator: Place, sqs: Any) -> None:
    load = fifo(beside_emulator, sqs)
    kill_again_and_again(load, 2)
    assert_bounded(load)
    assert_in_order(load)


@pytest.mark.slow
@pytest.mark.parametrize("handler", [SYNC_HANDLER, ASYNC_HANDLER], ids=["sync", "async"])
def test_fifty_times_kill_9_under_load_loses_nothing(beside_emulator: Place, sqs: Any, handler: str) -> None:
    load = standard(beside_emulator, sqs, handler)
    kill_again_and_again(load, 50)
    assert_bounded(load)


@pytest.mark.slow
def test_fifty_times_kill_9_under_load_keeps_the_order_of_each_message_group(beside_emulator: Place, sqs: Any) -> None:
    load = fifo(beside_emulator, sqs)
    kill_again_and_again(load, 50)
    assert_bounded(load)
    assert_in_order(load)
