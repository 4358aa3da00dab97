"""`broker dev FILE` with streams: what the file names is there in the emulator, under the ARNs that it has there."""

import re
import signal
import time
from typing import Any

import botocore.session
import pytest

from tests.acceptance.command import PATIENCE_SECONDS, Place, Running

FILE = """\
Functions:
  - {FunctionName: clicks, Callable: "shop:handler", Timeout: 5}
  - {FunctionName: search, Callable: "shop:handler", Timeout: 5}
EventSourceMappings:
  - FunctionName: clicks
    EventSourceArn: arn:aws:kinesis:eu-west-1:123456789012:stream/clicks
    StartingPosition: TRIM_HORIZON
    ParallelizationFactor: 3
    MaximumRetryAttempts: 0
    BisectBatchOnFunctionError: true
    DestinationConfig: {OnFailure: {Destination: "arn:aws:sqs:eu-west-1:123456789012:failed-clicks"}}
  - FunctionName: search
    EventSourceArn: arn:aws:kinesis:eu-west-1:123456789012:stream/clicks/consumer/search:1700000000
    StartingPosition: TRIM_HORIZON
    MaximumRetryAttempts: 0
    DestinationConfig: {OnFailure: {Destination: "arn:aws:sns:eu-west-1:123456789012:failed-search"}}
  - FunctionName: search
    EventSourceArn: arn:aws:dynamodb:eu-west-1:123456789012:table/products/stream/2026-01-31T09:00:00.000
    StartingPosition: TRIM_HORIZON
    MaximumRetryAttempts: 0
    DestinationConfig: {OnFailure: {Destination: "arn:aws:s3:::failed-products"}}
"""
HANDLER = """\
def handler(event, context):
    if any("broken" in str(record) for record in event["Records"]):
        raise ValueError("broken")
"""
GOOD_CLICKS = 12


class Sender:
    """Another program, which uses the emulator of a running `broker dev`."""

    def __init__(self, running: Running) -> None:
        found = re.search(r"emulator (http://127\.0\.0\.1:\d+)", running.wait_for("status http"))
        assert found
        self.url = found.group(1)

    def client(self, service: str) -> Any:
        return botocore.session.get_session().create_client(
            service,
            endpoint_url=self.url,
            region_name="eu-west-1",
            aws_access_key_id="123456789012",
            aws_secret_access_key="emulated",
        )


@pytest.fixture
def desk(place: Place) -> Place:
    place.write("broker.yaml", FILE)
    place.write("shop.py", HANDLER)
    return place


def test_streams_tables_and_destinations_of_a_file_are_made_and_accounted_for(desk: Place) -> None:
    with desk.start("dev", "broker.yaml") as running:
        sender = Sender(running)
        clicks = [{"PartitionKey": f"visitor-{number}", "Data": b"x"} for number in range(GOOD_CLICKS)]
        sender.client("kinesis").put_records(
            StreamName="clicks", Records=[*clicks, {"PartitionKey": "broken", "Data": b"x"}]
        )
        sender.client("dynamodb").put_item(TableName="products", Item={"id": {"S": "broken"}})
        for name in ("clicks (clicks)", "clicks (search)", "products"):
            wait_until_given_up(running, name)
        kept = sender.client("s3").list_objects_v2(Bucket="failed-products")["KeyCount"]
        queue = sender.client("sqs").get_queue_url(QueueName="failed-clicks")["QueueUrl"]
        told = sender.client("sqs").receive_message(QueueUrl=queue)["Messages"]
        running.signal(signal.SIGINT)
        ended = running.end()

    assert ended.code == 0, ended.text
    assert (kept, len(told)) == (1, 1)
    rows = {name: counts for name, *counts in (re.split(" {2,}", line) for line in ended.out.splitlines()[-3:])}
    assert rows["clicks (clicks)"] == ["13", "0", str(GOOD_CLICKS), rows["clicks (clicks)"][3], "1", "0", "0"]
    assert rows["products"] == ["1", "0", "0", "1", "1", "0", "0"]
    polled, _, handled, _, delivered, dropped, left = map(int, rows["clicks (search)"])
    assert (polled, dropped, left) == (handled + delivered, 0, 0)


def wait_until_given_up(running: Running, name: str) -> None:
    said = re.compile(rf"^{re.escape(name)} \w+: .* sent to the destination$", re.MULTILINE)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not said.search(running.text):
        assert time.monotonic() < deadline, running.text
        time.sleep(0.05)


def test_what_is_otherwise_than_the_file_says_is_told(desk: Place) -> None:
    ended = desk.run("dev", "broker.yaml", "--seconds", "1")

    assert ended.code == 0, ended.text
    assert "positions are kept in memory" in ended.out
    assert re.search(r"stream/clicks/consumer/search:\d+ takes the place of .*/search:1700000000", ended.out)
    assert re.search(r"table/products/stream/\S+ takes the place of .*/2026-01-31T09:00:00.000", ended.out)
    assert "the table has the key id" in ended.out
    assert not list((desk.folder / ".broker").glob("*.sqlite"))


def test_a_table_that_the_emulator_refuses_is_named(desk: Place) -> None:
    desk.write("broker.yaml", FILE.replace("table/products", "table/p"))
    ended = desk.run("dev", "broker.yaml", "--seconds", "1")

    assert ended.code == 1
    assert "CreateTable" in ended.text
    assert "ValidationException" in ended.text
    assert "Traceback" not in ended.text
