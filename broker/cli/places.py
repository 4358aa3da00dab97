"""Places in a shard, as a person names them, and moving a checkpoint to one."""

import re
from dataclasses import replace
from datetime import UTC, datetime

from broker.cli.patience import read_patiently
from broker.errors import CommandError, ConfigurationError, ReadFault, ShardReadError
from broker.model.checkpoint import Checkpoint
from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Position, TrimHorizon
from broker.ports import StreamSource

HORIZON = "TRIM_HORIZON"
_NUMBER = re.compile(r"[0-9]+")
_FORMS = "a sequence number (digits), TRIM_HORIZON or a time such as 2026-01-31T09:00:00Z"


def parse_place(text: str) -> Position:
    """What `--to` names. Raises `ConfigurationError` where it is no place."""
    if _NUMBER.fullmatch(text) and text.isascii():
        return AfterSequenceNumber(number=text)
    if text.upper().replace("-", "_") == HORIZON:
        return TrimHorizon()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"--to takes {_FORMS}, not {text!r}") from None
    return AtTimestamp(at=(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def place_text(position: Position) -> str:
    """A place, for people."""
    match position:
        case TrimHorizon():
            return HORIZON
        case AtTimestamp(at=at):
            return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
        case AfterSequenceNumber(number=number):
            return f"after {number}"
        case AtSequenceNumber(number=number):
            return f"at {number}"


def is_behind(position: Position, before: Checkpoint) -> bool:
    """Whether records that are settled may lie beyond a place, so that they would be handled again."""
    match position:
        case TrimHorizon():
            return not isinstance(before.position, TrimHorizon)
        case AtTimestamp(at=at):
            if isinstance(before.position, AtTimestamp):
                return at < before.position.at
            return _may_be_settled(at, before)
        case AfterSequenceNumber(number=number) | AtSequenceNumber(number=number):
            known = before.position
            return isinstance(known, AfterSequenceNumber | AtSequenceNumber) and int(number) < int(known.number)


def _may_be_settled(at: float, before: Checkpoint) -> bool:
    """Whether something that arrived at this instant may be settled: yes where the checkpoint tells no time."""
    is_begun = not isinstance(before.position, TrimHorizon)
    return is_begun and (not before.settled_at or at < before.settled_at)


def moved(before: Checkpoint, position: Position) -> Checkpoint:
    """A checkpoint at another place. Forwards, what lanes have settled beyond it and the open window stay."""
    if is_behind(position, before) or not isinstance(position, AfterSequenceNumber):
        return Checkpoint(position=position)
    number = int(position.number)
    heads = tuple(head for head in before.heads if head.last and int(head.last) > number)
    return replace(before, position=position, heads=heads, settled_at=0.0, behind_ms=0)


async def check_place(source: StreamSource, shard_id: str, position: Position) -> None:
    """Asks the stream whether it can be read from there.

    Raises:
        CommandError: it cannot; `skip` would stop the shard.
    """
    reader = source.reader(shard_id)
    try:
        await read_patiently(reader, position, otherwise=position, maximum_count=1)
    except ShardReadError as error:
        if error.fault is ReadFault.TRIMMED:
            raise CommandError(
                f"{place_text(position)} is older than what {shard_id} still keeps: say --to {HORIZON}"
            ) from error
        raise CommandError(f"{shard_id} cannot be read from {place_text(position)}: {error}") from error
    finally:
        await reader.aclose()
