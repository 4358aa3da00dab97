"""Observations as log events: one per settled batch, fields instead of prose, never a payload.

A level says who must act: `debug` and `info` nobody, `warning` the owner of the function or the queue when it keeps
coming, `error` somebody now. Per-page and per-call events are `debug`, so that an idle queue writes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import structlog

from broker.model.batch import Reason
from broker.model.observation import (
    BatchInvoked,
    BatchSettled,
    CheckpointProblem,
    CircuitClosed,
    CircuitOpened,
    DeleteAbandoned,
    DestinationProblem,
    EventLoopBlocked,
    EverythingFiltered,
    GroupOrderBroken,
    InvocationDeferred,
    InvocationReturned,
    InvocationStuck,
    LeaseReleased,
    LeaseTaken,
    LeaseWasLost,
    MappingFailed,
    MappingStateChanged,
    Observation,
    PageReceived,
    RecordsDeleted,
    RecordsDiscarded,
    RecordsLetGo,
    RecordsLost,
    ShardStarted,
    ShardStopped,
    SourceProblem,
    SourceRecovered,
    StoreProblem,
    StoreRecovered,
    VisibilityChangeFailed,
    VisibilityTooShort,
    WindowClosed,
)
from broker.model.stream import Position

DEBUG, INFO, WARNING, ERROR = 10, 20, 30, 40
"""The standard library's numbers."""

DETAIL_LIMIT = 500
"""Characters of a handler's or a service's message that are kept: enough to recognise it."""

EVENTS: Mapping[type[Observation], tuple[int, str]] = MappingProxyType(
    {
        PageReceived: (DEBUG, "page.received"),
        BatchInvoked: (DEBUG, "batch.invoked"),
        BatchSettled: (INFO, "batch.settled"),
        InvocationDeferred: (WARNING, "invocation.deferred"),
        InvocationStuck: (WARNING, "invocation.stuck"),
        InvocationReturned: (INFO, "invocation.returned"),
        RecordsLetGo: (INFO, "records.let_go"),
        RecordsDeleted: (DEBUG, "records.deleted"),
        DeleteAbandoned: (ERROR, "delete.abandoned"),
        VisibilityChangeFailed: (WARNING, "visibility.change_failed"),
        GroupOrderBroken: (WARNING, "group.order_broken"),
        EverythingFiltered: (ERROR, "filter.dropped_everything"),
        SourceProblem: (WARNING, "source.failed"),
        SourceRecovered: (INFO, "source.recovered"),
        VisibilityTooShort: (WARNING, "visibility.found_short"),
        CircuitOpened: (ERROR, "circuit.opened"),
        CircuitClosed: (INFO, "circuit.closed"),
        MappingStateChanged: (INFO, "mapping.state_changed"),
        MappingFailed: (ERROR, "mapping.failed"),
        ShardStarted: (INFO, "shard.started"),
        ShardStopped: (INFO, "shard.stopped"),
        RecordsDiscarded: (WARNING, "records.discarded"),
        DestinationProblem: (WARNING, "destination.failed"),
        CheckpointProblem: (WARNING, "checkpoint.failed"),
        RecordsLost: (ERROR, "records.lost"),
        WindowClosed: (DEBUG, "window.closed"),
        LeaseTaken: (INFO, "lease.taken"),
        LeaseReleased: (INFO, "lease.released"),
        LeaseWasLost: (WARNING, "lease.lost"),
        StoreProblem: (WARNING, "store.failed"),
        StoreRecovered: (INFO, "store.recovered"),
        EventLoopBlocked: (WARNING, "loop.blocked"),
    }
)
"""Level and name of each observation's log event."""

ADVICE: Mapping[type[Observation], str] = MappingProxyType(
    {
        EverythingFiltered: "not one message has passed the filter and all of them are deleted: check the patterns "
        "with `broker filter test`",
        GroupOrderBroken: "report every message of the group from the first failed one on, or set "
        "Broker.FifoFailure: hold-group",
        VisibilityTooShort: "raise the queue's visibility timeout or lower the function's Timeout",
        RecordsLost: "records have left the stream before they were handled: raise its retention, or find what held "
        "the shard up",
        EventLoopBlocked: "a handler that blocks should be a plain function, which runs on a thread of its own",
        MappingFailed: "this is a bug in the broker: the mapping stands still until a restart; the others go on",
    }
)
"""What to do, for events after which somebody should."""


class LogObserver:
    """Writes observations to a structlog logger.

    `describe` gives the fields that say more of a mapping than its UUID (function, source); it is asked once for each.
    """

    def __init__(
        self,
        logger: structlog.typing.FilteringBoundLogger,
        *,
        describe: Callable[[str], Mapping[str, str]] | None = None,
        with_error_messages: bool = False,
    ) -> None:
        """`with_error_messages` writes what handlers' errors say, which may quote a message's body."""
        self._logger = logger
        self._with_error_messages = with_error_messages
        self._describe = describe
        self._bound: dict[str, structlog.typing.FilteringBoundLogger] = {}

    def observe(self, mapping: str, observation: Observation) -> None:
        """Writes one event, or none where its level is off."""
        level, name = event_of(observation)
        logger = self._bound.get(mapping) or self._bind(mapping)
        if logger.is_enabled_for(level):
            logger.log(level, name, **fields_of(observation, with_error_messages=self._with_error_messages))

    def _bind(self, mapping: str) -> structlog.typing.FilteringBoundLogger:
        described = self._describe(mapping) if self._describe else {}
        self._bound[mapping] = self._logger.bind(mapping=mapping, **described)
        return self._bound[mapping]


def event_of(observation: Observation) -> tuple[int, str]:
    """The level and name of an observation's event; a failed batch is a warning, records that are gone are an error."""
    level, name = EVENTS[type(observation)]
    if isinstance(observation, BatchSettled) and observation.reason is not Reason.SUCCEEDED:
        level = WARNING
    if isinstance(observation, RecordsDiscarded) and not observation.delivered:
        level = ERROR
    return level, name


def fields_of(observation: Observation, *, with_error_messages: bool = False) -> dict[str, Any]:
    """The event's fields: the observation's own, as they can be written; empty ones left out.

    Of a handler's error that is its type, and its message only where asked for.
    """
    if isinstance(observation, MappingFailed):
        values: dict[str, Any] = {"error": repr(observation.error)[:DETAIL_LIMIT], "exc_info": observation.error}
    else:
        values = {field.name: _written(getattr(observation, field.name)) for field in fields(observation)}
        values = {name: value for name, value in values.items() if value not in ("", (), None)}
    if isinstance(observation, BatchSettled) and observation.reason is Reason.HANDLER_FAILED:
        values["error_type"] = error_type_of(values.get("detail", ""))
        if not with_error_messages:
            values.pop("detail", None)
    advice = ADVICE.get(type(observation))
    return {**values, "advice": advice} if advice else values


def error_type_of(detail: str) -> str:
    """`ValueError` of `ValueError: no such order`."""
    return detail.partition(": ")[0]


def _written(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    return str(value)[:DETAIL_LIMIT] if isinstance(value, str | Position) else value
