"""The first example of the README does what it says, against a queue."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.acceptance.command import PATIENCE_SECONDS, Place

EXAMPLE = Path(__file__).parents[1] / "typing" / "readme_library.py"


def test_the_first_example_handles_orders_and_keeps_the_poisoned_one(beside_emulator: Place, sqs: Any) -> None:
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(["book", "poison", "pen"])]
    sqs.send_message_batch(QueueUrl=url, Entries=entries)
    environment = beside_emulator.variables() | {"PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, EXAMPLE], cwd=beside_emulator.folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            wait_until_only_the_poisoned_one_is_left(sqs, url)
        finally:
            program.terminate()
        said, _ = program.communicate(timeout=PATIENCE_SECONDS)
    handled = [int(line.split()[0]) for line in said.splitlines()]
    assert sum(handled) >= len(entries)
    assert "1 of them come again" in said


def wait_until_only_the_poisoned_one_is_left(sqs: Any, url: str) -> None:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        depth = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        if sum(map(int, depth.values())) == 1:
            return
        time.sleep(0.05)
    raise AssertionError(f"the queue still holds {depth}")
