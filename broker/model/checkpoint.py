"""How far a shard is settled, so that whoever reads it next goes on there."""

from dataclasses import dataclass
from typing import Any, assert_never

from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Position, TrimHorizon


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneMarks:
    """Records beyond the low-water mark that are settled: those of each lane up to its mark."""

    factor: int
    """The `ParallelizationFactor` that made the lanes."""
    marks: tuple[str | None, ...]
    """For each lane the sequence number of its last settled record; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadBatch:
    """A batch that has failed and is to be tried again: its budget survives a restart."""

    factor: int
    """The `ParallelizationFactor` that made its lane."""
    lane: int
    first: str
    """Sequence number of its first record."""
    last: str
    """Sequence number of its last record."""
    failures: int
    """Attempts that used up its retries."""
    invocations: int
    """Attempts in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWindow:
    """A tumbling window that has not been closed."""

    start: int
    """Epoch seconds, a multiple of the window's length."""
    state: bytes
    """What the handler returned last: a JSON object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """All that is known of a shard's progress. Everything before `position` is settled."""

    position: Position
    """The low-water mark."""
    lanes: tuple[LaneMarks, ...] = ()
    """What is settled beyond it; the newest partition first."""
    heads: tuple[HeadBatch, ...] = ()
    """Batches that have failed, at most one of each lane."""
    window: OpenWindow | None = None
    finished: bool = False
    """Whether the shard is closed and everything in it is settled."""
    settled_at: float = 0.0
    """The service's time up to which everything that had arrived is settled; 0 where it is not known."""
    behind_ms: int = 0
    """How far reading was behind the shard's tip when this was written."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object; what has its default is left out."""
        document: dict[str, Any] = {"position": _position_to_json(self.position)}
        if self.lanes:
            document["lanes"] = [{"factor": lane.factor, "marks": list(lane.marks)} for lane in self.lanes]
        if self.heads:
            document["heads"] = [
                {name: getattr(head, name) for name in ("factor", "lane", "first", "last", "failures", "invocations")}
                for head in self.heads
            ]
        if self.window:
            document["window"] = {"start": self.window.start, "state": self.window.state.decode()}
        if self.finished:
            document["finished"] = True
        if self.settled_at:
            document["settled_at"] = self.settled_at
        if self.behind_ms:
            document["behind_ms"] = self.behind_ms
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Checkpoint":
        """Raises `KeyError`, `TypeError` or `ValueError` where the document is no checkpoint."""
        window = document.get("window")
        return cls(
            position=_position_from_json(document["position"]),
            lanes=tuple(
                LaneMarks(factor=lane["factor"], marks=tuple(lane["marks"])) for lane in document.get("lanes", ())
            ),
            heads=tuple(HeadBatch(**head) for head in document.get("heads", ())),
            window=OpenWindow(start=window["start"], state=window["state"].encode()) if window else None,
            finished=document.get("finished", False),
            settled_at=document.get("settled_at", 0.0),
            behind_ms=document.get("behind_ms", 0),
        )


def _position_to_json(position: Position) -> dict[str, Any]:
    match position:
        case TrimHorizon():
            return {"type": "TRIM_HORIZON"}
        case AtTimestamp():
            return {"type": "AT_TIMESTAMP", "at": position.at}
        case AfterSequenceNumber():
            return {"type": "AFTER_SEQUENCE_NUMBER", "number": position.number}
        case AtSequenceNumber():
            return {"type": "AT_SEQUENCE_NUMBER", "number": position.number}
        case _:
            assert_never(position)


def _position_from_json(document: dict[str, Any]) -> Position:
    match document["type"]:
        case "TRIM_HORIZON":
            return TrimHorizon()
        case "AT_TIMESTAMP":
            return AtTimestamp(at=document["at"])
        case "AFTER_SEQUENCE_NUMBER":
            return AfterSequenceNumber(number=document["number"])
        case "AT_SEQUENCE_NUMBER":
            return AtSequenceNumber(number=document["number"])
        case other:
            raise ValueError(f"{other!r} is no position in a shard")
