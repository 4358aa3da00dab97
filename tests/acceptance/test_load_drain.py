"""SIGTERM under load: what is in flight finishes, and nobody notices but the process table."""

import signal
import subprocess
from typing import Any

import pytest

from tests.acceptance.command import COMMAND, PATIENCE_SECONDS, Place, Running
from tests.acceptance.load_world import ASYNC_HANDLER, SYNC_HANDLER, Load, wait_until

COUNT = 1200
GROUPS = 60


def drain(running: Running) -> None:
    """Ends a generation with SIGTERM; it must say goodbye properly."""
    running.signal(signal.SIGTERM)
    ended = running.end()
    assert ended.code == 0, ended.text
    assert "Traceback" not in ended.text
    assert '"level":"error"' not in ended.text


def run_in_two_generations(load: Load) -> int:
    """Sends, stops the broker in the middle, starts it again; returns how many messages the first one handled."""
    load.send(COUNT)
    with load.start() as running:
        load.wait_for_handled(COUNT // 4)
        drain(running)
    first = len(load.handled())
    with load.start() as running:
        load.wait_until_all_handled()
        drain(running)
    return first


def assert_exactly_once(load: Load) -> None:
    assert load.missing() == set()
    assert load.duplicates() == 0
    assert load.depth() == 0
    assert load.depth(load.dead_letter_url) == 0


@pytest.mark.parametrize("handler", [SYNC_HANDLER, ASYNC_HANDLER], ids=["sync", "async"])
def test_sigterm_under_load_loses_nothing_and_handles_nothing_twice(
    beside_emulator: Place, sqs: Any, handler: str
) -> None:
    load = Load(beside_emulator, sqs, handler=handler)
    first = run_in_two_generations(load)
    assert COUNT // 4 <= first < COUNT
    assert_exactly_once(load)


def test_sigterm_under_load_keeps_the_order_of_each_message_group(beside_emulator: Place, sqs: Any) -> None:
    load = Load(beside_emulator, sqs, fifo=True, groups=GROUPS)
    first = run_in_two_generations(load)
    assert COUNT // 4 <= first < COUNT
    assert_exactly_once(load)
    assert load.order() == {str(group): list(range(COUNT // GROUPS)) for group in range(GROUPS)}


def test_a_log_that_nobody_reads_any_more_costs_lines_but_no_messages(beside_emulator: Place, sqs: Any) -> None:
    load = Load(beside_emulator, sqs)
    load.send(COUNT // 2)
    place = load.next_place()
    command = [COMMAND, "run", load.file]
    with subprocess.Popen(command, cwd=place.folder, env=place.variables(), stderr=subprocess.PIPE) as process:
        assert process.stderr
        wait_until(lambda: load.handled_count() > COUNT // 10, what="a broker at work")
        process.stderr.close()
        wait_until(lambda: load.handled_count() >= COUNT // 2, what="all handled")
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    assert_exactly_once(load)
