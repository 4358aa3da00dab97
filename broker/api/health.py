"""What the broker says of its health, as values: readiness and the list of mappings. No HTTP here."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, Protocol

from broker.model.batch import Reason
from broker.model.status import MappingStatus

UNSETTLED_STATES: Mapping[str, str] = MappingProxyType(
    {"Creating": "starting", "Enabling": "starting", "Disabling": "stopping", "Deleting": "stopping"}
)
"""States in which a mapping does not take new work yet, or no longer."""


class Reporting(Protocol):
    """What a listener asks of the broker."""

    @property
    def is_running(self) -> bool:
        """Whether it consumes: its start is over and its drain has not begun."""
        ...

    def statuses(self) -> Iterable[MappingStatus]:
        """Every mapping, at this instant."""
        ...


def readiness(broker: Reporting) -> dict[str, Any]:
    """`{"ready": bool, "problem": str, "unready": [{"mapping", "function", "source", "problem"}, …]}`.

    Names what is not well. A broker that starts or drains takes no new work, so it is not ready whatever its mappings
    say.
    """
    unready = [_unready(status, why) for status in broker.statuses() if (why := why_unready(status))]
    problem = "" if broker.is_running else "the broker starts or drains"
    return {"ready": broker.is_running and not unready, "problem": problem, "unready": unready}


def why_unready(status: MappingStatus) -> str:
    """Why a mapping is not well, or empty. A mapping that was disabled on purpose is well."""
    if not status.healthy:
        return status.problem or "stopped"
    return UNSETTLED_STATES.get(status.state, "")


def status_list(statuses: Iterable[MappingStatus], *, with_error_messages: bool) -> list[dict[str, Any]]:
    """The mappings as JSON objects with the fields of `MappingStatus`.

    What handlers' errors say may quote a message's body: without `with_error_messages` only their type is shown.
    """
    found = [asdict(status) for status in statuses]
    for each in found if not with_error_messages else ():
        for counts in (each["statistics"], *each["statistics"].get("shards", ())):
            counts["last_result"] = without_message(counts["last_result"])
    return found


def without_message(last_result: str) -> str:
    """`handler_failed: ValueError` of `handler_failed: ValueError: no such order`; other results as they are."""
    reason, _, detail = last_result.partition(": ")
    if reason != Reason.HANDLER_FAILED:
        return last_result
    return f"{reason}: {detail.partition(': ')[0]}"


def _unready(status: MappingStatus, why: str) -> dict[str, str]:
    return {
        "mapping": status.uuid,
        "function": status.function_name,
        "source": status.event_source_arn,
        "problem": why,
    }
