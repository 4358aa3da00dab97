"""`broker mappings pause`, `resume` and `skip`: what an operator does to the shards of a stream's mapping."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import click

from broker.aws.clients import Clients
from broker.cli.arguments import file_argument
from broker.cli.live_streams import polled
from broker.cli.operating import one_stream_mapping, opened_store, operator_of, refuse_shard, title_of
from broker.cli.places import check_place, is_behind, moved, parse_place, place_text
from broker.config import identity_of, load
from broker.core.lease_rows import CHECKPOINT_PREFIX, SHARD_PREFIX, checkpoint_of
from broker.errors import CommandError, ConfigurationError, RowConflict
from broker.model.checkpoint import Checkpoint
from broker.model.lease import Lease
from broker.model.settings import Configuration
from broker.model.stream import Position
from broker.model.stream_mapping import StreamMapping
from broker.runtime.holdings import HAND_OVER_GRACE_SECONDS
from broker.runtime.steering import Steering, shard_leases

SETTLING_SECONDS = 5.0
"""What a broker may need to see a pause, beyond what it may take to finish."""
QUEUE_REFUSAL = (
    "messages that are not received wait in the queue by themselves. Set Enabled: false in the file and restart"
)

mapping_argument = click.argument("mapping", metavar="MAPPING")
shard_option = click.option("--shard", metavar="SHARD", help="Only this shard.")
wait_option = click.option(
    "--wait-seconds",
    type=click.FloatRange(min=0),
    help="How long to wait for running batches; if absent, the function's Timeout and 35 s.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Helm:
    """A mapping in the operator's hands, with its leases as they were when the command began."""

    mapping: StreamMapping
    steering: Steering
    leases: dict[str, Lease]
    person: str
    drain_seconds: float
    """What a broker may take to give a shard back."""

    def chosen(self, shard: str | None) -> list[str]:
        """The shards that are meant. Raises `ConfigurationError` for one that is not there."""
        if shard is not None and shard not in self.leases:
            refuse_shard(shard, self.leases)
        return list(self.leases) if shard is None else [shard]

    def key_of(self, shard: str | None) -> str | None:
        """The key of a shard's lease; None for the mapping as a whole."""
        return None if shard is None else self.leases[shard].key.key

    def what(self, shard: str | None) -> str:
        """What is steered, for people."""
        uuid = identity_of(self.mapping)
        return f"{shard} of {title_of(self.mapping)} ({uuid})" if shard else f"{title_of(self.mapping)} ({uuid})"


@click.command()
@mapping_argument
@file_argument
@shard_option
@wait_option
def pause(mapping: str, file: Path, shard: str | None, wait_seconds: float | None) -> None:
    """Stop reading a stream, or one shard of it, until it is resumed.

    Whoever reads finishes what runs, saves its checkpoint and gives the shard back; nobody takes it. MAPPING is its
    UUID, function or stream. It stays paused when brokers are restarted.
    """
    anyio.run(_pause, load(file), mapping, shard, wait_seconds)


async def _pause(configuration: Configuration, chosen: str, shard: str | None, wait_seconds: float | None) -> None:
    async with taken(configuration, chosen) as helm:
        shards = helm.chosen(shard)
        note = await helm.steering.pause(helm.key_of(shard))
        _say(f"{helm.what(shard)}: {note}")
        async with helm.steering.announced():
            await drained(helm, shards, wait_seconds)
        _say("nobody reads it; what was running has finished and is saved")


@click.command()
@mapping_argument
@file_argument
@shard_option
def resume(mapping: str, file: Path, shard: str | None) -> None:
    """Let a stream, or one shard of it, be read again.

    Brokers that run take it within seconds. A shard that was paused by itself is resumed by itself.
    """
    anyio.run(_resume, load(file), mapping, shard)


async def _resume(configuration: Configuration, chosen: str, shard: str | None) -> None:
    async with taken(configuration, chosen) as helm:
        helm.chosen(shard)
        was_paused = await helm.steering.resume(helm.key_of(shard))
        if was_paused:
            _say(f"{helm.what(shard)}: resumed by {helm.person}")
        else:
            _say(f"{helm.what(shard)} was not paused")
        apart = [name for name, lease in helm.leases.items() if lease.is_paused and name != shard]
        if apart:
            _say(f"still paused by themselves: {', '.join(sorted(apart))}")
        if was_paused:
            async with helm.steering.announced():
                pass


@click.command()
@mapping_argument
@file_argument
@click.option("--shard", metavar="SHARD", required=True, help="The shard that is moved.")
@click.option(
    "--to",
    "place",
    metavar="PLACE",
    required=True,
    help="Sequence number after which reading goes on, TRIM_HORIZON, or a time.",
)
@click.option("--backwards", is_flag=True, help="Allow a place behind the present one: records are handled again.")
@wait_option
def skip(mapping: str, file: Path, *, shard: str, place: str, backwards: bool, wait_seconds: float | None) -> None:
    """Go on reading a shard somewhere else, without what lies in between.

    PLACE is the sequence number of the last record that is to be left out. The shard is paused while it is moved. A
    time is written as 2026-01-31T09:00:00Z.
    """
    position = parse_place(place)
    move = Move(shard=shard, position=position, backwards=backwards, wait_seconds=wait_seconds)
    anyio.run(_skip, load(file), mapping, move)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What `skip` is asked to do."""

    shard: str
    position: Position
    backwards: bool
    wait_seconds: float | None


async def _skip(configuration: Configuration, chosen: str, move: Move) -> None:
    async with taken(configuration, chosen) as helm:
        helm.chosen(move.shard)
        _require_movable(await _checkpoint(helm, move.shard), move)
        async with Clients() as clients:
            await check_place(polled(helm.mapping.stream, clients), move.shard, move.position)
        async with paused(helm, move):
            before = await _moved(helm, move)
        from_text, to_text = place_text(before.position), place_text(move.position)
        _say(f"{helm.what(move.shard)}: moved by {helm.person}, from {from_text} to {to_text}")
        if is_behind(move.position, before):
            _say("records between the two are handled again")


@asynccontextmanager
async def paused(helm: Helm, move: Move) -> AsyncIterator[None]:
    """Pauses a shard until the block has ended, and waits until nobody works on it. Raises `CommandError`."""
    lease = helm.leases[move.shard]
    await helm.steering.pause(lease.key.key)
    async with helm.steering.announced():
        try:
            await drained(helm, [move.shard], move.wait_seconds)
            yield
        finally:
            if not lease.is_paused:
                with anyio.CancelScope(shield=True):  # bounded: two calls of the store
                    await helm.steering.resume(lease.key.key)


async def _moved(helm: Helm, move: Move) -> Checkpoint:
    """Writes the new position; returns what was there before. Raises `ConfigurationError` where it must not be."""
    before = await _checkpoint(helm, move.shard)
    _require_movable(before, move)
    lease = shard_leases(identity_of(helm.mapping), await helm.steering.rows())[move.shard]
    try:
        await helm.steering.move(lease, lambda found: moved(found, move.position))
    except RowConflict as error:
        raise CommandError(f"{move.shard} was changed by somebody else meanwhile: nothing was moved") from error
    return before


async def _checkpoint(helm: Helm, shard: str) -> Checkpoint:
    """How far a shard is settled. Raises `CommandError` where it is gone."""
    key = helm.leases[shard].key.key
    row = (await helm.steering.rows()).get(f"{CHECKPOINT_PREFIX}{key.removeprefix(SHARD_PREFIX)}")
    if row is None:
        raise CommandError(f"{shard} has left the stream meanwhile: nothing was changed")
    return checkpoint_of(row)[1]


def _require_movable(before: Checkpoint, move: Move) -> None:
    if before.finished:
        raise ConfigurationError(
            f"{move.shard} is finished, and the shards that follow it are read: it cannot be moved. `broker replay` "
            "hands over single records again"
        )
    if is_behind(move.position, before) and not move.backwards:
        raise ConfigurationError(
            f"{place_text(move.position)} lies behind {place_text(before.position)}, or may: the records between are "
            "handled again, out of order with later ones. If that is wanted, say --backwards"
        )


async def drained(helm: Helm, shards: Collection[str], wait_seconds: float | None) -> None:
    """Waits until nobody works on the shards. Raises `CommandError`, with those who still do."""
    seconds = helm.drain_seconds if wait_seconds is None else wait_seconds
    owners = await helm.steering.wait_until_free(shards, seconds=seconds)
    if owners:
        shown = ", ".join(f"{shard} ({owner})" for shard, owner in sorted(owners.items()))
        raise CommandError(f"after {seconds:g} s these are still worked on: {shown}. --wait-seconds waits longer")


@asynccontextmanager
async def taken(configuration: Configuration, chosen: str) -> AsyncIterator[Helm]:
    """A mapping to be steered.

    Raises:
        ConfigurationError: none is meant, it reads a queue, or its store cannot be seen from here.
        CommandError: it has not begun.
    """
    mapping = one_stream_mapping(configuration, chosen, why=QUEUE_REFUSAL)
    timeouts = {function.function_name: function.timeout for function in configuration.functions}
    async with opened_store(configuration) as store:
        operator = operator_of(configuration, store)
        steering = Steering(identity_of(mapping), operator)
        leases = shard_leases(identity_of(mapping), await steering.rows())
        if not leases:
            raise CommandError(
                f"{title_of(mapping)} has not begun: the store knows no shards of it. It begins when a broker runs it"
            )
        yield Helm(
            mapping=mapping,
            steering=steering,
            leases=leases,
            person=operator.name,
            drain_seconds=timeouts[mapping.function.name] + HAND_OVER_GRACE_SECONDS + SETTLING_SECONDS,
        )


def _say(text: str) -> None:
    click.echo(text, err=True)
