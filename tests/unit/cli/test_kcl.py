"""A KCL application's progress becomes a mapping's rows."""

from collections.abc import Callable
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from anyio import create_task_group, sleep

from broker.cli.kcl import Order, moved_since, report, show, taken_over, write
from broker.config import identity_of, parse_mapping
from broker.core.kcl_leases import Takeover
from broker.core.lease_rows import WORKERS, checkpoint_of, worker_value
from broker.core.watching import LeaseTiming
from broker.errors import BrokerError, CommandError, ConfigurationError
from broker.model.checkpoint import Checkpoint
from broker.model.kcl import KclLease, KclStream
from broker.model.lease import Worker
from broker.model.stream import AfterSequenceNumber, TrimHorizon
from broker.model.stream_mapping import StreamMapping
from broker.runtime.steering import Operator, Steering, shard_leases
from broker.stores.memory import MemoryStateStore
from broker.testing import InMemoryStream, InMemoryStreamSource, VirtualClock

FIRST, SECOND = "shardId-000000000000", "shardId-000000000001"
ORDER = Order(table="shop", mapping="f", region=None, force=False, overwrite=False, dry_run=True, watch_seconds=0)


@pytest.fixture
def anyio_backend(virtual_backend: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    return virtual_backend


def lease(shard_id: str, checkpoint: str, counter: int = 1, stream: KclStream | None = None) -> KclLease:
    return KclLease(key=shard_id, shard_id=shard_id, checkpoint=checkpoint, counter=counter, stream=stream)


class Office:
    """A stream, a mapping of it, a store, and an operator."""

    def __init__(self, stream: InMemoryStream) -> None:
        self.source = InMemoryStreamSource(stream)
        mapping = parse_mapping(event_source_arn=stream.arn, function_name="f", starting_position="TRIM_HORIZON")
        assert isinstance(mapping, StreamMapping)
        self.mapping = mapping
        self.store = MemoryStateStore()
        numbers = count(1)
        self.operator = Operator(
            name="ana", store=self.store, clock=VirtualClock(), new_id=lambda: UUID(int=next(numbers)),
            timing=LeaseTiming(),
        )  # fmt: skip

    async def taken(self, *leases: KclLease) -> Takeover:
        listing, description = await self.source.list_shards(), await self.source.describe()
        return taken_over(self.mapping, listing, description, leases, table="shop")

    async def write(self, takeover: Takeover, *, overwrite: bool = False) -> None:
        description = await self.source.describe()
        await write(
            self.mapping, takeover, description, operator=self.operator, source=self.source, overwrite=overwrite
        )

    async def positions(self) -> dict[str, tuple[int, Checkpoint]]:
        rows = await self.store.read(identity_of(self.mapping))
        return {key.rsplit(":", 1)[1]: checkpoint_of(row) for key, row in rows.items() if key.startswith("checkpoint:")}

    async def beat(self, worker_id: str) -> None:
        value = worker_value(Worker(worker_id=worker_id, counter=0))
        for version in count(1):
            await self.store.write(WORKERS, worker_id, value, version=version, nonce=f"w{version}")
            await sleep(1.0)

    async def own(self, worker_id: str) -> None:
        """A worker that lives owns the first shard."""
        value = worker_value(Worker(worker_id=worker_id, counter=0))
        await self.store.write(WORKERS, worker_id, value, version=0, nonce="w")
        uuid = identity_of(self.mapping)
        found = shard_leases(uuid, await Steering(uuid, self.operator).rows())[FIRST]
        row = await self.store.get(uuid, found.key.key)
        assert row is not None
        await self.store.write(uuid, found.key.key, {**row.value, "owner": worker_id}, version=row.version, nonce="o")


@pytest.fixture
def office(make_stream: Callable[..., InMemoryStream]) -> Office:
    return Office(make_stream("clicks", shard_count=2))


@pytest.mark.anyio
async def test_a_mapping_that_never_ran_begins_where_the_application_stopped(office: Office) -> None:
    await office.write(await office.taken(lease(FIRST, "4957")))
    assert await office.positions() == {
        FIRST: (0, Checkpoint(position=AfterSequenceNumber(number="4957"))),
        SECOND: (0, Checkpoint(position=TrimHorizon())),
    }


@pytest.mark.anyio
async def test_progress_is_replaced_only_when_asked_for_and_under_a_new_epoch(office: Office) -> None:
    await office.write(await office.taken(lease(FIRST, "4957")))
    later = await office.taken(lease(FIRST, "5000"))
    with pytest.raises(ConfigurationError, match="--overwrite replaces them"):
        await office.write(later)
    await office.write(later, overwrite=True)
    assert (await office.positions())[FIRST] == (1, Checkpoint(position=AfterSequenceNumber(number="5000")))


@pytest.mark.anyio
async def test_a_broker_that_lives_is_not_overwritten(office: Office) -> None:
    await office.write(await office.taken(lease(FIRST, "4957")))
    await office.own("a")
    before = await office.positions()
    later = await office.taken(lease(FIRST, "5000"))
    async with create_task_group() as tasks:
        tasks.start_soon(office.beat, "a")
        with pytest.raises(CommandError, match="a works on f <- clicks: pause the mapping first"):
            await office.write(later, overwrite=True)
        tasks.cancel_scope.cancel()
    assert await office.positions() == before


@pytest.mark.anyio
async def test_a_broker_that_has_died_is_overwritten(office: Office) -> None:
    await office.write(await office.taken(lease(FIRST, "4957")))
    await office.own("a")
    await office.write(await office.taken(lease(FIRST, "5000")), overwrite=True)
    assert (await office.positions())[FIRST] == (1, Checkpoint(position=AfterSequenceNumber(number="5000")))


@pytest.mark.anyio
async def test_a_table_of_another_stream_is_refused_with_what_it_has(office: Office) -> None:
    with pytest.raises(ConfigurationError, match=r"has no lease of a shard that .* has; it has shards such as s-9"):
        await office.taken(lease("s-9", "1"))
    other = lease(FIRST, "1", stream=KclStream(account="123456789012", name="visits", created_at=5))
    with pytest.raises(ConfigurationError, match="it has 123456789012:visits:5"):
        await office.taken(other)


@pytest.mark.anyio
async def test_another_starting_position_is_refused_as_always(office: Office) -> None:
    await office.write(await office.taken(lease(FIRST, "4957")))
    office.mapping = office.mapping.model_copy(update={"starting_position": "LATEST"})
    with pytest.raises(BrokerError, match="StartingPosition was TRIM_HORIZON"):
        await office.write(await office.taken(lease(FIRST, "5000")), overwrite=True)


@pytest.mark.anyio
async def test_what_was_taken_is_told(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    takeover = await office.taken(lease(FIRST, "LATEST"), lease("shardId-old", "12"))
    show(takeover, ORDER)
    out, err = capsys.readouterr()
    assert f"{FIRST}: nothing was handled yet" in out
    assert "shardId-old: has left the stream with its checkpoint at 12" in out
    assert err == "nothing was written (--dry-run)\n"
    told = report(takeover)
    assert told["gone"] == [{"shard": "shardId-old", "kcl_checkpoint": "12"}]
    assert [shard["kcl_checkpoint"] for shard in told["shards"]] == ["LATEST", None]  # type: ignore[index, attr-defined]


def test_leases_that_are_renewed_or_new_are_moving() -> None:
    before = [lease("a", "1"), lease("b", "1"), lease("c", "1")]
    now = [lease("a", "1"), lease("b", "1", counter=2), lease("c", "2"), lease("d", "1")]
    assert [each.shard_id for each in moved_since(before, now)] == ["b", "c", "d"]
