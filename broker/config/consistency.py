"""What must hold between functions and mappings, and of filter patterns: mistakes that no single field shows.

Source: AWS Lambda API, CreateEventSourceMapping and CreateFunction, and the texts that AWS answers with.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from uuid import UUID, uuid5

from broker.config.document import Location, path_of
from broker.config.mistakes import suggestion
from broker.core.filtering import compile_queue_filters
from broker.core.filtering_streams import compile_stream_filters
from broker.errors import InvalidPattern
from broker.model.function import Function
from broker.model.mapping import EventSourceMapping
from broker.model.queue_mapping import QueueMapping
from broker.model.reference import StreamService
from broker.model.settings import BrokerSettings
from broker.model.stream_mapping import StreamMapping

IDENTITY_NAMESPACE = UUID("6b8f0c1e-52a5-4f0c-9d0b-3d1b7f9f2a41")
"""Identities of mappings are version 5 UUIDs in this namespace, of `<source ARN> <function>[:<qualifier>]`.

Fixed for ever: another one would make every mapping a new one.
"""

Found = tuple[Location, str]
Numbered = Sequence[tuple[int, EventSourceMapping]]


def mapping_identity(event_source_arn: str, qualified_function: str) -> str:
    """The UUID of a mapping that names none: the same in every replica and after every restart.

    Args:
        event_source_arn: The mapping's `EventSourceArn`.
        qualified_function: The function's bare name, with `:qualifier` where the mapping has one.
    """
    return str(uuid5(IDENTITY_NAMESPACE, f"{event_source_arn} {qualified_function}"))


def identity_of(mapping: EventSourceMapping) -> str:
    """The mapping's UUID, given or made."""
    return mapping.uuid or mapping_identity(mapping.event_source_arn, mapping.function.qualified_name)


def pattern_mistakes(mapping: EventSourceMapping) -> Iterator[Found]:
    """Filter patterns that do not follow the grammar; locations begin at the mapping."""
    service = mapping.stream.service if isinstance(mapping, StreamMapping) else None
    for index, pattern in enumerate(mapping.filter_patterns):
        if mistake := pattern_mistake(pattern, service):
            yield ("FilterCriteria", "Filters", index, "Pattern"), mistake


def pattern_mistake(pattern: str, service: StreamService | None) -> str | None:
    """What is wrong with a filter pattern for a stream of `service`, or for a queue; None where nothing is."""
    try:
        if service is None:
            compile_queue_filters([pattern])
        else:
            compile_stream_filters([pattern], service)
    except InvalidPattern as error:
        return f"{error} ({error.reason})"
    return None


def future_mistakes(mappings: Numbered, now: float) -> Iterator[Found]:
    """Starting times that have not come; `now` in epoch seconds."""
    for index, mapping in mappings:
        if isinstance(mapping, StreamMapping) and (mapping.starting_position_timestamp or 0) > now:
            yield ("EventSourceMappings", index, "StartingPositionTimestamp"), "the time to begin at is in the future"


def conflicts(
    settings: BrokerSettings | None,
    functions: Sequence[tuple[int, Function]],
    mappings: Numbered,
    names: Iterable[str],
) -> Iterator[Found]:
    """Mistakes between valid functions and mappings, each with its index; `names` are all functions' names."""
    by_name = {function.function_name: function for _, function in functions}
    yield from _repeated_functions(functions)
    yield from _repeated_mappings(mappings)
    yield from _repeated_identities(mappings)
    yield from _isolation_mistakes(mappings)
    for index, mapping in mappings:
        at: Location = ("EventSourceMappings", index)
        yield from _function_mistakes(mapping, at, by_name.get(mapping.function.name), sorted(names))
        yield from _place_mistakes(mapping, at, settings)


def _repeated_functions(functions: Sequence[tuple[int, Function]]) -> Iterator[Found]:
    seen: set[str] = set()
    for index, function in functions:
        if function.function_name in seen:
            yield ("Functions", index, "FunctionName"), f"Function already exist: {function.function_name}"
        seen.add(function.function_name)


def _repeated_mappings(mappings: Numbered) -> Iterator[Found]:
    def key(mapping: EventSourceMapping) -> str:
        return f"{mapping.event_source_arn} {mapping.function.qualified_name}"

    for first, index, mapping in _repetitions(mappings, key):
        yield ("EventSourceMappings", index), _already_exists(mapping, identity_of(mappings[first][1]))


def _already_exists(mapping: EventSourceMapping, existing: str) -> str:
    if isinstance(mapping, StreamMapping):
        return (
            f'The event source arn (" {mapping.event_source_arn} ") and function (" {mapping.function.name} ") '
            f"provided mapping already exists. Please update or delete the existing mapping with UUID {existing}"
        )
    return (
        f'An event source mapping with SQS arn (" {mapping.event_source_arn} ") and function '
        f'(" {mapping.function.name} ") already exists. '
        f"Please update or delete the existing mapping with UUID {existing}"
    )


def _repeated_identities(mappings: Numbered) -> Iterator[Found]:
    given = [(index, mapping) for index, mapping in mappings if mapping.uuid]
    for first, index, mapping in _repetitions(given, identity_of):
        other = path_of(("EventSourceMappings", given[first][0]))
        yield ("EventSourceMappings", index, "UUID"), f"{mapping.uuid} is the UUID of {other} already"


def _repetitions(
    mappings: Numbered, key: Callable[[EventSourceMapping], str]
) -> Iterator[tuple[int, int, EventSourceMapping]]:
    """Position of the first of a key, index of each further one, and that one."""
    seen: dict[str, int] = {}
    for position, (index, mapping) in enumerate(mappings):
        first = seen.setdefault(key(mapping), position)
        if first != position:
            yield first, index, mapping


def _function_mistakes(
    mapping: EventSourceMapping, at: Location, function: Function | None, names: list[str]
) -> Iterator[Found]:
    name = mapping.function.name
    if name not in names:
        message = f"Function does not exist: {name!r} is not among Functions{suggestion(name, names)}"
        yield (*at, "FunctionName"), message
    if _has_idle_pollers(mapping):
        yield (*at, "Broker", "Provisioned"), "it has no effect without ProvisionedPollerConfig: remove it"
    if function is not None and function.callable is None and mapping.broker.isolation == "process":
        yield (*at, "Broker", "Isolation"), f"process is for a Callable, and {name!r} has a Url: remove it"


def _has_idle_pollers(mapping: EventSourceMapping) -> bool:
    """Whether numbers of provisioned pollers are written, and no pollers."""
    return (
        isinstance(mapping, QueueMapping)
        and "provisioned" in mapping.broker.model_fields_set
        and mapping.provisioned_poller_config is None
    )


def _isolation_mistakes(mappings: Numbered) -> Iterator[Found]:
    """One function has one executor, whose limits all of its mappings share."""
    first: dict[str, str] = {}
    for index, mapping in mappings:
        isolation = first.setdefault(mapping.function.name, mapping.broker.isolation)
        if isolation != mapping.broker.isolation:
            message = (
                f"another mapping of {mapping.function.name!r} says {isolation}: a function is isolated in one way"
            )
            yield ("EventSourceMappings", index, "Broker", "Isolation"), message


def _place_mistakes(mapping: EventSourceMapping, at: Location, settings: BrokerSettings | None) -> Iterator[Found]:
    """An ARN of a function that is not this broker's."""
    function = mapping.function
    if settings is None:
        return
    for said, ours, what in (
        (function.account_id, settings.account_id, "AccountId"),
        (function.region, settings.region, "Region"),
    ):
        if said and ours and said != ours:
            yield (*at, "FunctionName"), f"Function does not exist: Broker.{what} is {ours}, and the ARN says {said}"
