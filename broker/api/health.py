"""What the broker says of its health, as values: readiness and the list of mappings. No HTTP here."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any, Protocol

from broker.model.status import MappingStatus

UNSETTLED_STATES: Mapping[str, str] = MappingProxyType(
    {"Creating": "starting", "Enabling": "starting", "Disabling": "stopping", "Deleting": "stopping"}
)
"""States in which a mapping does not take new work yet, or no longer."""


class Reporting(Protocol):
    """What a listener asks of the broker."""

    def statuses(self) -> Iterable[MappingStatus]:
        """Every mapping, at this instant."""
        ...


def readiness(statuses: Iterable[MappingStatus]) -> dict[str, Any]:
    """`{"ready": bool, "unready": [{"mapping", "function", "source", "problem"}, …]}`: names what is not well."""
    unready = [_unready(status, why) for status in statuses if (why := why_unready(status))]
    return {"ready": not unready, "unready": unready}


def why_unready(status: MappingStatus) -> str:
    """Why a mapping is not well, or empty. A mapping that was disabled on purpose is well."""
    if not status.healthy:
        return status.problem or "stopped"
    return UNSETTLED_STATES.get(status.state, "")


def status_list(statuses: Iterable[MappingStatus]) -> list[dict[str, Any]]:
    """The mappings as JSON objects with the fields of `MappingStatus`."""
    return [asdict(status) for status in statuses]


def _unready(status: MappingStatus, why: str) -> dict[str, str]:
    return {
        "mapping": status.uuid,
        "function": status.function_name,
        "source": status.event_source_arn,
        "problem": why,
    }
