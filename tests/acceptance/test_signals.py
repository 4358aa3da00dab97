"""Signals and broken pipes at the worst moments: the command ends as it promised, with the right exit code."""

import json
import signal
import subprocess
import time
from typing import Any

import pytest

from tests.acceptance.command import COMMAND, PATIENCE_SECONDS, Place
from tests.acceptance.desk import FILE, Desk, events_of

BLOCKS_THE_LOOP = """\
import time

async def handler(event, context):
    print("began", flush=True)
    time.sleep(600)
"""
SLOW = """\
import anyio

async def handler(event, context):
    print("began", flush=True)
    await anyio.sleep(600)
"""


def with_drain(desk: Desk, seconds: float) -> None:
    text = FILE.replace("QUEUE", desk.name)
    desk.place.write("broker.yaml", f"Broker: {{DrainTimeoutInSeconds: {seconds}}}\n{text}")


def test_the_third_signal_ends_a_broker_whose_event_loop_is_blocked(beside_emulator: Place, sqs: Any) -> None:
    desk = Desk(beside_emulator, sqs, handler=BLOCKS_THE_LOOP)
    with desk.place.start("run") as running:
        desk.send()
        running.wait_for("began")
        for _ in range(2):
            running.signal(signal.SIGTERM)
            time.sleep(0.2)  # the system joins equal signals that are not taken yet
        assert running.process.poll() is None
        running.signal(signal.SIGINT)
        ended = running.end()
    assert ended.code == 130
    assert "Traceback" not in ended.text


@pytest.mark.slow
def test_a_blocked_event_loop_ends_by_force_after_the_drain_and_says_so(beside_emulator: Place, sqs: Any) -> None:
    desk = Desk(beside_emulator, sqs, handler=BLOCKS_THE_LOOP)
    with_drain(desk, 1)
    with desk.place.start("run") as running:
        desk.send()
        running.wait_for("began")
        running.signal(signal.SIGTERM)
        ended = running.end()
        (words,) = events_of(running, "broker.ended_by_force")
    assert ended.code == 0
    assert "11 s after the signal" in words["advice"]


def test_a_drain_that_was_cut_short_names_what_was_in_flight(beside_emulator: Place, sqs: Any) -> None:
    desk = Desk(beside_emulator, sqs, handler=SLOW)
    with_drain(desk, 1)
    with desk.place.start("run") as running:
        desk.send()
        running.wait_for("began")
        running.signal(signal.SIGTERM)
        ended = running.end()
        (cut,) = events_of(running, "broker.drain_cut_short")
    assert ended.code == 0
    assert cut["level"] == "warning"
    (left,) = cut["in_flight"]
    assert (left["function"], left["queue"], left["batches"], left["records"]) == ("orders", desk.name, 1, 1)


def test_a_broker_whose_output_nobody_reads_consumes_and_drains(desk: Desk) -> None:
    command = [COMMAND, "run"]
    with subprocess.Popen(
        command,
        cwd=desk.place.folder,
        env=desk.place.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["event"] == "broker.started"
        process.stdout.close()
        for _ in range(5):
            desk.send()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while desk.depth() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    assert desk.depth() == 0


def test_a_demonstration_whose_output_nobody_reads_goes_on_until_it_is_told(place: Place) -> None:
    with subprocess.Popen(
        [COMMAND, "dev"], cwd=place.folder, env=place.variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert b"broker dev" in process.stdout.readline()
        process.stdout.close()
        time.sleep(3)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, errors) == (0, b"")
