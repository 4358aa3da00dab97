"""The commands of streams, as installed, beside brokers that run."""

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import botocore.session
import pytest

from broker.cli.emulator import Emulator
from tests.acceptance.command import PATIENCE_SECONDS, Place, Running
from tests.acceptance.conftest import ACCOUNT, REGION

FILE = """\
Broker: {StateStore: "sqlite:state.sqlite", LeaseDurationInSeconds: 4}
Functions:
  - {FunctionName: orders, Callable: "app:handler", Timeout: 5}
  - {FunctionName: queued, Callable: "app:handler", Timeout: 5}
EventSourceMappings:
  - FunctionName: orders
    EventSourceArn: arn:aws:kinesis:eu-west-1:123456789012:stream/STREAM
    StartingPosition: TRIM_HORIZON
    MaximumRetryAttempts: 0
    DestinationConfig: {OnFailure: {Destination: "arn:aws:sqs:eu-west-1:123456789012:STREAM-failed"}}
  - FunctionName: queued
    EventSourceArn: arn:aws:sqs:eu-west-1:123456789012:STREAM-failed
    Enabled: false
"""
HANDLER = """\
import base64
import os
from pathlib import Path

def handler(event, context):
    for record in event["Records"]:
        text = base64.b64decode(record["kinesis"]["data"]).decode()
        print("handled", text, os.getpid(), flush=True)
        if text == "poison" and not Path("antidote").exists():
            raise ValueError(text)
"""
SHARDS = ("shardId-000000000000", "shardId-000000000001")


def client(emulator: Emulator, service: str) -> Any:
    return botocore.session.get_session().create_client(
        service,
        endpoint_url=emulator.url,
        region_name=REGION,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="emulated",
    )


@dataclass
class StreamDesk:
    """A stream of two shards, and a folder with a file for it."""

    place: Place
    emulator: Emulator

    def __post_init__(self) -> None:
        self.name = f"clicks-{uuid4()}"
        self.kinesis, self.sqs = client(self.emulator, "kinesis"), client(self.emulator, "sqs")
        self.dynamodb = client(self.emulator, "dynamodb")
        self.kinesis.create_stream(StreamName=self.name, ShardCount=2)
        until(lambda: self._status() == "ACTIVE")
        self.queue = self.sqs.create_queue(QueueName=f"{self.name}-failed")["QueueUrl"]
        self.place.write("broker.yaml", FILE.replace("STREAM", self.name))
        self.place.write("app.py", HANDLER)

    def _status(self) -> str:
        summary = self.kinesis.describe_stream_summary(StreamName=self.name)
        return summary["StreamDescriptionSummary"]["StreamStatus"]

    def put(self, text: str, shard: int = 0) -> str:
        half = str(0 if shard == 0 else 2**128 - 1)
        answer = self.kinesis.put_record(StreamName=self.name, Data=text, PartitionKey="k", ExplicitHashKey=half)
        assert answer["ShardId"] == SHARDS[shard]
        return answer["SequenceNumber"]

    def broker(self, name: str) -> Running:
        """A broker in the same folder, with what it writes in a folder of its own."""
        folder = self.place.folder / name
        folder.mkdir()
        (folder / "app.py").write_text(HANDLER)
        text = FILE.replace("STREAM", self.name).replace("sqlite:state", f"sqlite:{self.place.folder}/state")
        (folder / "broker.yaml").write_text(text)
        return Place(folder, dict(self.place.environment)).start("run")

    def shards(self, *options: str) -> dict[str, Any]:
        ended = self.place.run("leases", "list", "--output", "json", *options)
        return {shard["shard"]: shard for shard in json.loads(ended.out)["mappings"][0]["shards"]}

    def failure_record(self) -> str:
        found: list[Any] = []
        until(lambda: bool(found.extend(self._messages()) or found))
        return found[0]["Body"]

    def _messages(self) -> list[Any]:
        return self.sqs.receive_message(QueueUrl=self.queue, WaitTimeSeconds=1).get("Messages", [])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def stream_desk(beside_emulator: Place, emulator: Emulator) -> StreamDesk:
    return StreamDesk(beside_emulator, emulator)


@pytest.fixture
def two_brokers(stream_desk: StreamDesk) -> Iterator[list[Running]]:
    with ExitStack() as stack:
        yield [stack.enter_context(stream_desk.broker(name)) for name in ("one", "two")]


def test_leases_list_shows_both_owners_pauses_moves_and_resumes(
    stream_desk: StreamDesk, two_brokers: list[Running]
) -> None:
    desk, place = stream_desk, stream_desk.place
    first = desk.put("a")
    until(lambda: any("handled a" in running.text for running in two_brokers))
    until(lambda: len({shard["owner"] for shard in desk.shards("--once").values() if shard["owner_stands"]}) == 2)
    shards = desk.shards()
    pids = {running.process.pid for running in two_brokers}
    assert {int(re.search(r"-(\d+)-[0-9a-f]{8}-", shard["owner"])[1]) for shard in shards.values()} == pids
    assert all(shard["owner_live"] for shard in shards.values())
    table = place.run("leases", "list")
    assert table.code == 0
    assert re.search(rf"{SHARDS[0]} +\S+-\d+ +\d+ +…{first[-11:]} +0s +\d+\S +owned", table.out), table.out

    paused = place.run("mappings", "pause", "orders", "--shard", SHARDS[0])
    assert (paused.code, paused.out) == (0, "")
    assert re.search(rf"{SHARDS[0]} of orders <- {desk.name} \(\S+\): paused by \S+@\S+ at 20", paused.err)
    assert any('"why":"paused"' in running.text for running in two_brokers)
    assert any(f'"detail":"{SHARDS[0]}: paused by ' in running.text for running in two_brokers)
    shard = desk.shards("--once")[SHARDS[0]]
    assert (shard["owner"], shard["position"]["number"]) == ("", first)
    skipped = [desk.put(text) for text in ("b", "c")]
    desk.put("d")

    backwards = place.run("mappings", "skip", "orders", "--shard", SHARDS[0], "--to", "TRIM_HORIZON")
    assert backwards.code == 2
    assert "--backwards" in backwards.err
    moved = place.run("mappings", "skip", "orders", "--shard", SHARDS[0], "--to", skipped[-1])
    assert moved.code == 0, moved.text
    assert f"from after {first} to after {skipped[-1]}" in moved.err

    resumed = place.run("mappings", "resume", "orders", "--shard", SHARDS[0])
    assert (resumed.code, "resumed by" in resumed.err) == (0, True)
    began_at = time.monotonic()
    until(lambda: any("handled d" in running.text for running in two_brokers))
    assert time.monotonic() - began_at < 15
    assert not any(re.search("handled [bc]", running.text) for running in two_brokers)


def test_a_failure_record_is_replayed_from_the_stream_or_from_its_payload(stream_desk: StreamDesk) -> None:
    desk, place = stream_desk, stream_desk.place
    with desk.broker("one") as running:
        desk.put("poison")
        record = desk.failure_record()
        (started,) = [json.loads(line) for line in running.text.splitlines() if '"broker.started"' in line]
        listed = place.run("mappings", "list", "--url", started["listener"])
        assert re.search(rf"orders +{desk.name} +Enabled +2 +0s +0 +1 +0 +PROBLEM: Function call failed", listed.out)
        assert started["sources"] == f"{desk.name} -> orders, {desk.name}-failed -> queued"
        assert started["store"] == f"sqlite:{place.folder}/state.sqlite"
        running.signal(signal.SIGTERM)
        running.end()
    failing = place.run("replay", "-", "--output", "json", stdin=record)
    report = json.loads(failing.out)
    assert (failing.code, report["outcome"], report["detail"]) == (1, "failed", "ValueError: poison")
    place.write("antidote", "")
    place.write("failed.json", json.dumps({"Body": json.dumps({"Type": "Notification", "Message": record})}))
    mended = place.run("replay", "failed.json")
    assert mended.code == 0, mended.text
    assert re.search(r"succeeded +orders +1 ", mended.out)
    event = place.run("replay", "failed.json", "--dry-run")
    assert json.loads(event.out)["Records"][0]["eventSourceARN"].endswith(desk.name)
    with_payload = json.loads(record) | {"payload": event.out}
    assert place.run("replay", "-", "--function", "queued", stdin=json.dumps(with_payload)).code == 0


def test_the_checkpoints_of_a_kcl_application_are_taken_over_before_the_mapping_ever_ran(
    stream_desk: StreamDesk,
) -> None:
    desk, place, table = stream_desk, stream_desk.place, f"shop-{uuid4()}"
    handled, _ = desk.put("a"), desk.put("b")
    make_lease_table(desk.dynamodb, table)
    lease = {"leaseKey": {"S": SHARDS[0]}, "checkpoint": {"S": handled}, "leaseCounter": {"N": "7"}}
    desk.dynamodb.put_item(TableName=table, Item=lease)
    arguments = ("leases", "import", "--kcl-table", table, "--mapping", "orders", "--watch-seconds", "0.5")
    dry = place.run(*arguments, "--dry-run")
    assert dry.code == 0, dry.text
    assert not (place.folder / "state.sqlite").exists()
    taken = place.run(*arguments)
    assert taken.code == 0, taken.text
    assert "looking for 0.5 s" in taken.err
    assert re.search(rf"{SHARDS[0]} +{handled} +after {handled}\n{SHARDS[1]} +none +TRIM_HORIZON", taken.out)
    again = place.run(*arguments)
    assert (again.code, "--overwrite" in again.err) == (2, True)
    assert place.run(*arguments, "--overwrite").code == 0
    with desk.broker("one") as running:
        running.wait_for("handled b")
        assert "handled a" not in running.text


def make_lease_table(dynamodb: Any, table: str, key: str = "leaseKey") -> None:
    dynamodb.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


# ---- bad input


def assert_refused(place: Place, code: int, *arguments: str, says: tuple[str, ...], stdin: str = "") -> None:
    ended = place.run(*arguments, stdin=stdin)
    assert ended.code == code, ended.text
    assert "Traceback" not in ended.text
    assert "bug" not in ended.text
    for part in says:
        assert part in ended.err, ended.text


def test_what_a_store_cannot_show_is_refused_and_nothing_is_made(place: Place) -> None:
    place.write("app.py", HANDLER)
    place.write("broker.yaml", FILE.replace("STREAM", "clicks"))
    for command in (["leases", "list"], ["mappings", "pause", "orders"], ["mappings", "resume", "orders"]):
        assert_refused(place, 1, *command, says=("There is no state store", "state.sqlite"))
    assert not (place.folder / "state.sqlite").exists()
    place.write("broker.yaml", FILE.replace("STREAM", "clicks").replace("sqlite:state.sqlite", "memory:"))
    assert_refused(place, 2, "leases", "list", says=("memory:", "mappings list"))
    assert_refused(place, 2, "mappings", "pause", "orders", says=("memory:",))


def test_wrong_arguments_are_named(stream_desk: StreamDesk) -> None:
    desk, place = stream_desk, stream_desk.place
    with desk.broker("one") as running:
        running.wait_for("lease.taken")
        until(lambda: len(desk.shards("--once")) == 2)
    assert_refused(place, 2, "mappings", "pause", "nobody", says=("'nobody'", desk.name))
    assert_refused(place, 2, "mappings", "pause", "queued", says=("queue", "Enabled: false"))
    assert_refused(place, 2, "mappings", "pause", "orders", "--shard", "shardId-9", says=("shardId-9", *SHARDS))
    skip = ("mappings", "skip", "orders", "--shard", SHARDS[0], "--to")
    assert_refused(place, 2, *skip, "soon", says=("sequence number", "'soon'"))
    assert_refused(place, 2, "leases", "list", "--mapping", "nobody", says=("'nobody'",))
    table = f"none-{uuid4()}"
    take = ("leases", "import", "--mapping", "orders", "--kcl-table", table, "--force")
    assert_refused(place, 1, *take, says=(f"There is no table {table}",))
    make_lease_table(desk.dynamodb, table, key="id")
    assert_refused(place, 1, *take, says=("holds no leases",))
    desk.dynamodb.put_item(TableName=table, Item={"id": {"S": "x"}})
    assert_refused(place, 1, *take, says=("no lease table of the KCL", "id"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"requestContext": {}}', '{"KinesisBatchInfo": 3}', "nonsense"])
def test_what_is_no_failure_record_is_refused(place: Place, text: str) -> None:
    place.write("broker.yaml", FILE.replace("STREAM", "clicks"))
    assert_refused(place, 2, "replay", "-", says=("<stdin>",), stdin=text)


def test_a_failure_record_of_another_stream_or_function_is_refused(place: Place) -> None:
    place.write("broker.yaml", FILE.replace("STREAM", "clicks"))
    arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/"
    info = {"shardId": SHARDS[0], "startSequenceNumber": "1", "endSequenceNumber": "2", "batchSize": 2}
    context = {"functionArn": f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:other", "condition": "x"}
    other = {"requestContext": context, "KinesisBatchInfo": {**info, "streamArn": f"{arn}visits"}}
    assert_refused(place, 2, "replay", "-", says=("stream/visits", "orders <- clicks"), stdin=json.dumps(other))
    mine = {"requestContext": context, "KinesisBatchInfo": {**info, "streamArn": f"{arn}clicks"}}
    assert_refused(place, 2, "replay", "-", says=("'other'", "--function", "orders"), stdin=json.dumps(mine))


def test_the_folder_has_nothing_but_what_was_put_there(place: Place) -> None:
    place.write("broker.yaml", FILE.replace("STREAM", "clicks"))
    place.run("leases", "list")
    assert [path.name for path in Path(place.folder).iterdir()] == ["broker.yaml"]
