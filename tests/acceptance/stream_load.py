"""A Kinesis stream under load: records whose data is `key/number`, numbered for each key as they were put."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import botocore.session

from broker.cli.emulator import Emulator

PATIENCE_SECONDS = 120.0
"""For whatever must come true sooner or later: a loaded machine is no failure."""
POLL_SECONDS = 0.05
KEYS = 50


def wait_until(is_true: Callable[[], bool], *, what: str, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)


class Load:
    """What is put steadily, numbered for each key."""

    per_round = KEYS
    """Records that `put` puts for each of its rounds."""
    source_arn: str
    """What the mapping names."""

    def __init__(self, server: Emulator) -> None:
        self.server = server
        self.sent: dict[str, int] = {}
        """How many records each key has."""

    @property
    def sent_count(self) -> int:
        return sum(self.sent.values())

    def put(self, rounds: int = 1) -> None:
        """Puts one record for each key, so many times."""
        raise NotImplementedError

    def open_shard_ids(self) -> set[str]:
        """The shards that take records."""
        raise NotImplementedError

    @contextmanager
    def steady(self, *, per_second: float = 200.0) -> Iterator[None]:
        """Puts records steadily while the block is open."""
        ended = threading.Event()

        def feed() -> None:
            while not ended.wait(self.per_round / per_second):
                self.put()

        with ThreadPoolExecutor(1) as feeder:
            feeding = feeder.submit(feed)
            try:
                yield
            finally:
                ended.set()
            feeding.result()


class LoadedStream(Load):
    """A stream with shards that can be split and merged, and what was put into it."""

    def __init__(self, server: Emulator, *, shards: int = 4, is_pushed: bool = False) -> None:
        super().__init__(server)
        self.client = kinesis_client(server)
        self.name = f"load-{uuid4().hex}"
        self.arn = f"arn:aws:kinesis:{server.region}:{server.account_id}:stream/{self.name}"
        self._make(shards)
        self.source_arn = self._register() if is_pushed else self.arn

    def _register(self) -> str:
        answer = self.client.register_stream_consumer(StreamARN=self.arn, ConsumerName="shop")
        arn = str(answer["Consumer"]["ConsumerARN"])

        def is_active() -> bool:
            consumer = self.client.describe_stream_consumer(ConsumerARN=arn)["ConsumerDescription"]
            return bool(consumer["ConsumerStatus"] == "ACTIVE")

        wait_until(is_active, what="the consumer is active")
        return arn

    def _make(self, shards: int) -> None:
        self.client.create_stream(StreamName=self.name, ShardCount=shards)
        self._wait_until_active()

    def remake(self, *, shards: int = 4) -> None:
        """Deletes the stream with all that is in it, and makes it again under its name."""
        self.client.delete_stream(StreamName=self.name, EnforceConsumerDeletion=True)
        wait_until(lambda: not self._status(), what="the stream is gone")
        self._make(shards)

    def _status(self) -> str:
        try:
            summary = self.client.describe_stream_summary(StreamName=self.name)
        except self.client.exceptions.ResourceNotFoundException:
            return ""
        return str(summary["StreamDescriptionSummary"]["StreamStatus"])

    def _wait_until_active(self) -> None:
        wait_until(lambda: self._status() == "ACTIVE", what="the stream is active")

    # ---- shards

    def shards(self) -> list[dict[str, Any]]:
        """All shards, closed ones too."""
        return list(self.client.list_shards(StreamName=self.name)["Shards"])

    def open_shards(self) -> list[dict[str, Any]]:
        """Those that take records, in the order of their hash keys."""
        still_open = [each for each in self.shards() if "EndingSequenceNumber" not in each["SequenceNumberRange"]]
        return sorted(still_open, key=_first_hash)

    def open_shard_ids(self) -> set[str]:
        return {str(shard["ShardId"]) for shard in self.open_shards()}

    def split(self, index: int = 0) -> str:
        """Splits an open shard in the middle; its id."""
        shard = self.open_shards()[index]
        middle = (_first_hash(shard) + int(shard["HashKeyRange"]["EndingHashKey"])) // 2
        self.client.split_shard(StreamName=self.name, ShardToSplit=shard["ShardId"], NewStartingHashKey=str(middle + 1))
        self._wait_until_active()
        return str(shard["ShardId"])

    def merge(self, index: int = 0) -> tuple[str, str]:
        """Merges an open shard with the next one; their ids."""
        first, second = (str(each["ShardId"]) for each in self.open_shards()[index : index + 2])
        self.client.merge_shards(StreamName=self.name, ShardToMerge=first, AdjacentShardToMerge=second)
        self._wait_until_active()
        return first, second

    # ---- records

    def put(self, rounds: int = 1, *, prefix: str = "k") -> None:
        """Puts one record for each key, so many times: within a key one call after the other."""
        for _ in range(rounds):
            pending = [f"{prefix}{number}" for number in range(KEYS)]
            while pending:
                records = [{"Data": f"{key}/{self.sent.get(key, 0)}", "PartitionKey": key} for key in pending]
                answers = self.client.put_records(StreamName=self.name, Records=records)["Records"]
                taken = [key for key, answer in zip(pending, answers, strict=True) if "SequenceNumber" in answer]
                self.sent |= {key: self.sent.get(key, 0) + 1 for key in taken}
                pending = [key for key in pending if key not in taken]


def kinesis_client(server: Emulator) -> Any:
    return botocore.session.get_session().create_client(
        "kinesis",
        endpoint_url=server.url,
        region_name=server.region,
        aws_access_key_id=server.account_id,
        aws_secret_access_key="emulated",
    )


def _first_hash(shard: dict[str, Any]) -> int:
    return int(shard["HashKeyRange"]["StartingHashKey"])
