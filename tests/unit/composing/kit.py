"""Compositions on fakes: queues and streams in memory, a clock in virtual time, handlers that note what they get."""

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any
from uuid import UUID

from broker.composing.composition import Composition
from broker.composing.surroundings import Overrides, Surroundings
from broker.config import parse_function, parse_mapping
from broker.model.mapping import EventSourceMapping
from broker.model.settings import BrokerSettings, Configuration
from broker.ports import Clock, Destination, Observer, QueueSource, StreamSource
from broker.stores.opening import OpenStateStore
from broker.testing import VirtualClock


class Seen:
    """An observer that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Any]] = []

    def observe(self, mapping: str, observation: Any) -> None:
        self.heard.append((mapping, observation))

    def kinds(self, uuid: str) -> set[str]:
        return {type(observation).__name__ for mapping, observation in self.heard if mapping == uuid}


async def ignore(_event: Any, _context: Any) -> None:
    """A handler that does nothing."""


def configured(
    *mappings: EventSourceMapping, handler: Callable[..., Any] | str = ignore, **settings: Any
) -> Configuration:
    """A configuration of these mappings, whose functions are all `handler`."""
    names = dict.fromkeys(mapping.function.name for mapping in mappings)
    return Configuration(
        broker=BrokerSettings(**settings),
        functions=tuple(parse_function(function_name=name, callable=handler) for name in names),
        event_source_mappings=mappings,
    )


def reading(arn: str, function: str = "orders", **fields: Any) -> EventSourceMapping:
    """A mapping; a stream is read from its beginning."""
    beginning = {} if ":sqs:" in arn else {"starting_position": "TRIM_HORIZON"}
    return parse_mapping(event_source_arn=arn, function_name=function, **beginning, **fields)


def surroundings(clock: Clock | None = None, **options: Any) -> Surroundings:
    """A world whose chances and ids are the same each time."""
    draw = Random(1)
    return Surroundings(
        clock=clock or VirtualClock(),
        chance=draw.random,
        new_id=lambda: UUID(int=draw.getrandbits(128), version=4),
        worker_name="worker",
        **options,
    )


def composed(
    configuration: Configuration,
    *,
    queues: Mapping[str, QueueSource] | None = None,
    streams: Mapping[str, StreamSource] | None = None,
    destinations: Mapping[str, Destination] | None = None,
    store: OpenStateStore | None = None,
    observers: Iterable[Observer] = (),
    around: Surroundings | None = None,
) -> Composition:
    """A composition in which what is given takes the place of AWS."""
    return Composition(
        configuration,
        observers=tuple(observers),
        overrides=Overrides(queues=queues or {}, streams=streams or {}, destinations=destinations or {}, store=store),
        around=around or surroundings(),
    )
