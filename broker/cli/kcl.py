"""`broker leases import`: takes over the checkpoints of an application of the Kinesis Client Library (KCL)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

import anyio
import click

from broker.aws.clients import Clients
from broker.cli.arguments import file_argument
from broker.cli.live_streams import polled
from broker.cli.operating import one_stream_mapping, opened_store, operator_of, title_of
from broker.cli.output import Column, OutputFormat, output_option, print_json, print_table
from broker.cli.places import place_text
from broker.config import identity_of, load
from broker.core.kcl_leases import Taken, Takeover, leases_of_stream, take_over
from broker.core.lineage import StartRow
from broker.errors import CommandError, ConfigurationError
from broker.model.checkpoint import Checkpoint
from broker.model.kcl import KclLease
from broker.model.settings import Configuration
from broker.model.stream import Shard, StreamDescription
from broker.model.stream_mapping import StreamMapping
from broker.ports import StateStore, StreamSource
from broker.runtime.shard_register import MAPPING_KEY, Beginning, ShardRegister
from broker.runtime.steering import Operator, Steering, shard_leases
from broker.stores.kcl_table import KclTable

WATCH_SECONDS = 15.0
"""The KCL renews a lease every three seconds or so, and takes a worker for dead after ten."""
QUEUE_REFUSAL = "it has no checkpoints that could be taken over"
COLUMNS = (
    Column(title="shard"),
    Column(title="the KCL's checkpoint"),
    Column(title="reading begins", folds=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be imported, and how."""

    table: str
    mapping: str
    region: str | None
    force: bool
    overwrite: bool
    dry_run: bool
    watch_seconds: float


@click.command("import")
@file_argument
@click.option("--kcl-table", "table", metavar="NAME", required=True, help="The application's lease table.")
@click.option("--mapping", metavar="MAPPING", required=True, help="UUID, function or stream of the mapping.")
@click.option("--kcl-region", "region", metavar="REGION", help="The table's region; else the stream's.")
@click.option("--dry-run", is_flag=True, help="Show what would be taken over, and write nothing.")
@click.option("--force", is_flag=True, help="Do not look whether the KCL's workers have ended.")
@click.option("--overwrite", is_flag=True, help="Replace progress that the mapping has made already.")
@click.option(
    "--watch-seconds",
    type=click.FloatRange(min=0),
    default=WATCH_SECONDS,
    show_default=True,
    help="How long to look whether leases are still renewed: longer than the application's failover time.",
)
@output_option
def import_kcl(file: Path, *, output: OutputFormat, **options: object) -> None:
    """Take over the checkpoints of a KCL 2 or 3 application.

    End the application's workers first, then import, then start the broker. The KCL's table is read and not changed.
    """
    order = Order(**options)  # type: ignore[arg-type] # click has made each option's type
    takeover = anyio.run(_import, load(file), order)
    if output == "json":
        print_json(report(takeover))
    else:
        show(takeover, order)


async def _import(configuration: Configuration, order: Order) -> Takeover:
    mapping = one_stream_mapping(configuration, order.mapping, why=QUEUE_REFUSAL)
    async with Clients() as clients:
        source = polled(mapping.stream, clients)
        table = KclTable(order.table, region=order.region or mapping.source.region, clients=clients)
        leases = await _quiet_leases(table, order)
        # The listing first: an instant that is told after it is later than everything that is closed in it.
        listing = await source.list_shards()
        description = await source.describe()
        takeover = taken_over(mapping, listing, description, leases, table=order.table)
        if not order.dry_run:
            async with opened_store(configuration, must_exist=False) as store:
                operator = operator_of(configuration, store)
                await write(mapping, takeover, description, operator=operator, source=source, overwrite=order.overwrite)
        return takeover


async def _quiet_leases(table: KclTable, order: Order) -> tuple[KclLease, ...]:
    """The leases, once it is certain that nobody renews them. Raises `CommandError` where somebody does."""
    leases = await table.leases()
    if not leases:
        raise CommandError(f"the table {order.table} holds no leases: there is nothing to take over")
    if order.force:
        return leases
    click.echo(f"looking for {order.watch_seconds:g} s whether KCL workers still renew their leases", err=True)
    await anyio.sleep(order.watch_seconds)
    again = await table.leases()
    moving = moved_since(leases, again)
    if moving:
        owners = ", ".join(sorted({lease.owner or "nobody" for lease in moving}))
        raise CommandError(
            f"{len(moving)} leases of {order.table} are still renewed, by {owners}: end the application's workers "
            "first, or records are handled twice (--force takes over nonetheless)"
        )
    return again


def moved_since(before: Sequence[KclLease], now: Sequence[KclLease]) -> list[KclLease]:
    """The leases that were written in between."""
    counters = {lease.key: (lease.counter, lease.checkpoint) for lease in before}
    return [lease for lease in now if counters.get(lease.key) != (lease.counter, lease.checkpoint)]


def taken_over(
    mapping: StreamMapping,
    listing: Sequence[Shard],
    description: StreamDescription,
    leases: Sequence[KclLease],
    *,
    table: str,
) -> Takeover:
    """What becomes of the stream's shards. Raises `ConfigurationError` where the table is of another stream."""
    mine, others = leases_of_stream(
        leases,
        account=mapping.source.account,
        name=mapping.stream.name,
        created_at=_created_at(description),
    )
    if not {lease.shard_id for lease in mine} & {shard.shard_id for shard in listing}:
        shown = ", ".join(others) or f"shards such as {leases[0].shard_id}"
        raise ConfigurationError(
            f"the table {table} has no lease of a shard that {mapping.stream.stream_arn} has; it has {shown}"
        )
    timestamp = mapping.starting_position_timestamp
    return take_over(listing, mine, timestamp=timestamp, now=description.server_at)


def _created_at(description: StreamDescription) -> int | None:
    """When a Kinesis stream was made, as the keys of the KCL have it; None where the generation is no such time."""
    try:
        return int(float(description.generation))
    except ValueError:
        return None


# ---- writing


async def write(
    mapping: StreamMapping,
    takeover: Takeover,
    description: StreamDescription,
    *,
    operator: Operator,
    source: StreamSource,
    overwrite: bool,
) -> None:
    """Makes the mapping's rows, or puts those that stand to the new positions.

    Raises:
        ConfigurationError: the mapping has made progress already.
        CommandError: a broker works on its shards.
        BrokerError: the store does not let it, or the mapping has begun with another starting position.
    """
    uuid = identity_of(mapping)
    await _require_replaceable(operator.store, mapping, overwrite=overwrite)
    steering = Steering(uuid, operator)
    leases = shard_leases(uuid, await steering.rows())
    owners = await steering.wait_until_free(
        leases, seconds=operator.timing.lease_seconds + operator.timing.beat_seconds
    )
    if owners:
        shown = ", ".join(sorted(set(owners.values())))
        raise CommandError(f"{shown} works on {title_of(mapping)}: pause the mapping first (`broker mappings pause`)")
    register = ShardRegister(
        uuid=uuid,
        source=source,
        store=operator.store,
        beginning=Beginning(
            starting_position=mapping.starting_position, timestamp=mapping.starting_position_timestamp or 0.0
        ),
        new_id=uuid4,
        observe=lambda _observation: None,
    )
    rows: list[StartRow] = [(taken.shard, taken.checkpoint) for taken in takeover.taken]
    await register.take_over(rows, description)
    for shard, checkpoint in rows:
        if shard.shard_id in leases:
            await steering.move(leases[shard.shard_id], partial(_replaced, checkpoint))
    async with steering.announced():
        pass


def _replaced(checkpoint: Checkpoint, _found: Checkpoint) -> Checkpoint:
    return checkpoint


async def _require_replaceable(store: StateStore, mapping: StreamMapping, *, overwrite: bool) -> None:
    row = await store.get(identity_of(mapping), MAPPING_KEY)
    if row is not None and row.value.get("started") and not overwrite:
        raise ConfigurationError(
            f"{title_of(mapping)} has positions of its own already (`broker leases list` shows them): "
            "--overwrite replaces them by the KCL's"
        )


# ---- telling


def report(takeover: Takeover) -> dict[str, object]:
    """The whole as a JSON object."""
    return {
        "shards": [
            {
                "shard": taken.shard.shard_id,
                "kcl_checkpoint": taken.lease.checkpoint if taken.lease else None,
                "checkpoint": taken.checkpoint.to_json(),
                "warning": taken.warning,
            }
            for taken in takeover.taken
        ],
        "gone": [{"shard": lease.shard_id, "kcl_checkpoint": lease.checkpoint} for lease in takeover.gone],
    }


def show(takeover: Takeover, order: Order) -> None:
    """A table of what was taken, and what to know of it."""
    print_table(COLUMNS, [_row(taken) for taken in takeover.taken])
    for taken in takeover.taken:
        if taken.warning:
            click.echo(f"{taken.shard.shard_id}: {taken.warning}")
    for lease in takeover.gone:
        click.echo(
            f"{lease.shard_id}: has left the stream with its checkpoint at {lease.checkpoint}: what followed is lost"
        )
    done = "nothing was written (--dry-run)" if order.dry_run else "taken over: start the broker, or resume the mapping"
    click.echo(done, err=True)


def _row(taken: Taken) -> list[object]:
    before = taken.lease.checkpoint if taken.lease else "none"
    after = "finished" if taken.checkpoint.finished else place_text(taken.checkpoint.position)
    return [taken.shard.shard_id, before, after]
