"""What is opened for a configuration, and what takes the place of what."""

import os
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest

from broker.aws.clients import Clients
from broker.composing.executors import Executors
from broker.composing.parts import Parts
from broker.composing.streams import stream_source
from broker.composing.surroundings import Overrides
from broker.config import identity_of
from broker.errors import BrokerError, ConfigurationError, SourceError
from broker.model.discard import DiscardedBatch
from broker.model.settings import BrokerSettings, Configuration
from broker.runtime.clock import SystemClock
from broker.sources.dynamodb_streams import DynamoDbStreamSource
from broker.sources.kinesis import KinesisStreamSource
from broker.testing import InMemoryQueueSource, InMemoryStreamSource
from broker.testing.stores import InMemoryStateStore, StateStoreView
from tests.unit.composing.kit import Seen, composed, configured, reading, surroundings

pytestmark = pytest.mark.anyio


class WatchedStore(StateStoreView):
    """A store that counts how often it is opened anew, for another event loop."""

    def __init__(self, *, is_shared: bool) -> None:
        super().__init__(InMemoryStateStore(is_shared=is_shared), "broker")
        self.reopenings = 0

    def reopened(self) -> "WatchedStore":
        self.reopenings += 1
        return self


class Bin:
    """A destination that keeps what it is sent."""

    def __init__(self) -> None:
        self.batches: list[DiscardedBatch] = []

    async def send(self, discarded: DiscardedBatch, *, shard_id: str, request_id: str, now: float) -> None:
        self.batches.append(discarded)


class Storeless(Configuration):
    """A configuration that does not know what its mappings need."""

    needs_store: ClassVar[bool] = False  # type: ignore[assignment]


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


# ---- the store


async def test_a_queue_alone_opens_no_store(make_queue: Any, tmp_path: Path) -> None:
    queue = make_queue()
    configuration = configured(reading(queue.arn), state_store="sqlite:", data_folder=tmp_path / "data")
    async with composed(configuration, queues={queue.arn: InMemoryQueueSource(queue)}).opened(strict=True):
        pass
    assert names_in(tmp_path) == []


class TestInRealTime:
    """A file is opened on a thread, which virtual time does not wait for."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    async def test_a_stream_opens_the_store_of_the_settings_in_the_data_folder(
        self, make_stream: Any, tmp_path: Path
    ) -> None:
        stream = make_stream()
        configuration = configured(reading(stream.arn), state_store="sqlite:", data_folder=tmp_path / "data")
        composition = composed(configuration, streams={stream.arn: InMemoryStreamSource(stream)})
        async with composition.opened(strict=False):
            assert (tmp_path / "data" / "state.sqlite").exists()

    @pytest.mark.parametrize("is_shared", [True, False])
    async def test_a_store_that_others_see_has_its_heartbeat_on_a_thread(
        self, make_stream: Any, *, is_shared: bool
    ) -> None:
        stream, store = make_stream(), WatchedStore(is_shared=is_shared)
        composition = composed(
            configured(reading(stream.arn)),
            streams={stream.arn: InMemoryStreamSource(stream)},
            store=store,
            around=surroundings(SystemClock()),
        )
        async with composition.opened(strict=False):
            with anyio.fail_after(10):
                while not await store.read("workers"):  # noqa: ASYNC110 - the store tells nobody
                    await anyio.sleep(0.01)
        assert store.reopenings == (1 if is_shared else 0)


async def test_under_virtual_time_the_heartbeat_is_a_task_though_others_see_the_store(make_stream: Any) -> None:
    stream, store = make_stream(), WatchedStore(is_shared=True)
    composition = composed(
        configured(reading(stream.arn)), streams={stream.arn: InMemoryStreamSource(stream)}, store=store
    )
    async with composition.opened(strict=False):
        await anyio.sleep(1)
        assert await store.read("workers")
    assert store.reopenings == 0
    assert not await store.read("workers"), "who ends leaves the fleet"


async def test_a_store_that_is_given_takes_the_place_of_that_of_the_settings(make_stream: Any) -> None:
    stream, store = make_stream(), InMemoryStateStore()
    mapping = reading(stream.arn)
    composition = composed(
        configured(mapping, state_store="memory:"),
        streams={stream.arn: InMemoryStreamSource(stream)},
        store=store.seen_by("broker"),
    )
    async with composition.opened(strict=False) as supervisor, supervisor.running(10):
        await anyio.sleep(5)
    assert "mapping" in await store.seen_by("test").read(identity_of(mapping))


async def test_a_stream_without_a_store_is_a_bug_that_names_it(make_stream: Any) -> None:
    stream = make_stream()
    written = configured(reading(stream.arn))
    storeless = Storeless(
        broker=BrokerSettings(), functions=written.functions, event_source_mappings=written.event_source_mappings
    )
    with pytest.raises(BrokerError, match=f"{stream.arn}: a stream's positions need a store"):
        async with composed(storeless).opened(strict=False):
            pass


# ---- AWS, and what takes its place


@pytest.mark.parametrize(
    ("arn", "source"),
    [
        ("arn:aws:kinesis:eu-west-1:123456789012:stream/clicks", KinesisStreamSource),
        ("arn:aws:kinesis:eu-west-1:123456789012:stream/clicks/consumer/viewer:1", KinesisStreamSource),
        (
            "arn:aws:dynamodb:eu-west-1:123456789012:table/orders/stream/2026-01-31T09:00:00.000",
            DynamoDbStreamSource,
        ),
    ],
)
async def test_the_arn_decides_what_is_read(arn: str, source: type) -> None:
    mapping = reading(arn)
    async with Clients() as clients:
        parts = Parts(
            configuration=configured(mapping),
            observers=(),
            overrides=Overrides(queues={}, streams={}, destinations={}, store=None),
            around=surroundings(),
            clients=clients,
            executors=Executors({}, surroundings()),
            store=None,
            fleet=None,
        )
        assert type(stream_source(parts, mapping)) is source


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_account_that_cannot_be_asked_for_is_not_taken_for_the_expected_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(SourceError, match=r"ExpectedAccountId is 123456789012, but AWS did not say"):
        async with composed(configured(expected_account_id="123456789012")).opened(strict=False):
            pass


async def test_queues_streams_and_destinations_that_are_given_take_the_place_of_those_of_aws(
    make_queue: Any, make_stream: Any
) -> None:
    queue, stream, bin_, seen = make_queue(), make_stream(), Bin(), Seen()
    handled: list[str] = []

    async def handler(event: dict[str, Any], _context: Any) -> None:
        (record,) = event["Records"]
        if "kinesis" in record:
            raise RuntimeError("poison")
        handled.append(record["body"])

    destination = "arn:aws:sqs:eu-west-1:123456789012:failed"
    of_queue = reading(queue.arn)
    of_stream = reading(
        stream.arn,
        maximum_retry_attempts=0,
        destination_config={"OnFailure": {"Destination": destination}},
    )
    composition = composed(
        configured(of_queue, of_stream, handler=handler),
        queues={queue.arn: InMemoryQueueSource(queue)},
        streams={stream.arn: InMemoryStreamSource(stream)},
        destinations={destination: bin_},
        observers=[seen],
    )
    async with composition.opened(strict=True) as supervisor, supervisor.running(10):
        queue.send("hello")
        number = stream.put("a", b"poison")
        await anyio.sleep(30)
    assert handled == ["hello"]
    assert [batch.first for batch in bin_.batches] == [number]
    assert "RecordsDiscarded" in seen.kinds(identity_of(of_stream))
    assert "RecordsDiscarded" not in seen.kinds(identity_of(of_queue))


async def test_a_handler_that_cannot_be_imported_is_named_by_its_place_in_the_file(make_queue: Any) -> None:
    configuration = configured(reading(make_queue().arn), handler="nowhere_at_all:handler")
    with pytest.raises(ConfigurationError) as caught:
        async with composed(configuration).opened(strict=False):
            pass
    assert [mistake.path for mistake in caught.value.mistakes] == ["Functions[0].Callable"]


async def test_a_drain_before_anything_is_open_tells_nobody() -> None:
    composition = composed(configured())
    composition.drain()
    async with composition.opened(strict=True) as supervisor:
        assert supervisor.statuses() == ()


async def test_a_drain_is_told_to_the_fleet(make_stream: Any) -> None:
    stream, store = make_stream(), InMemoryStateStore()
    composition = composed(
        configured(reading(stream.arn)),
        streams={stream.arn: InMemoryStreamSource(stream)},
        store=store.seen_by("broker"),
    )
    async with composition.opened(strict=False):
        await anyio.sleep(1)
        composition.drain()
        await anyio.sleep(1)
        (worker,) = (await store.seen_by("test").read("workers")).values()
    assert worker.value["draining"] is True
