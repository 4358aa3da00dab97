"""Places in a shard: named by people, compared, moved to."""

from typing import Any

import pytest

from broker.cli.places import check_place, is_behind, moved, parse_place, place_text
from broker.errors import CommandError, ConfigurationError, ReadFault, ShardReadError
from broker.model.checkpoint import Checkpoint, HeadBatch, LaneMarks, OpenWindow
from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, AtTimestamp, Position, TrimHorizon

NINE = 1_769_850_000.0


def after(number: int) -> AfterSequenceNumber:
    return AfterSequenceNumber(number=str(number))


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("4957", after(4957)),
        ("TRIM_HORIZON", TrimHorizon()),
        ("trim-horizon", TrimHorizon()),
        ("2026-01-31T09:00:00Z", AtTimestamp(at=NINE)),
        ("2026-01-31T10:00:00+01:00", AtTimestamp(at=NINE)),
        ("2026-01-31T09:00:00", AtTimestamp(at=NINE)),
    ],
)
def test_a_place_is_a_number_a_time_or_the_horizon(text: str, position: Position) -> None:
    assert parse_place(text) == position


@pytest.mark.parametrize("text", ["", "soon", "-1", "LATEST", "²", "49 57"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--to takes a sequence number"):
        parse_place(text)


def test_people_read_places() -> None:
    shown = [place_text(each) for each in (TrimHorizon(), AtTimestamp(at=NINE), after(7), AtSequenceNumber(number="7"))]
    assert shown == ["TRIM_HORIZON", "2026-01-31T09:00:00Z", "after 7", "at 7"]


@pytest.mark.parametrize(
    ("position", "before", "expected"),
    [
        (after(9), Checkpoint(position=after(10)), True),
        (after(10), Checkpoint(position=after(9)), False),
        (after(9), Checkpoint(position=AtSequenceNumber(number="10")), True),
        (after(9), Checkpoint(position=TrimHorizon()), False),
        (after(9), Checkpoint(position=AtTimestamp(at=NINE)), False),
        (TrimHorizon(), Checkpoint(position=TrimHorizon()), False),
        (TrimHorizon(), Checkpoint(position=after(1)), True),
        (AtTimestamp(at=NINE), Checkpoint(position=TrimHorizon()), False),
        (AtTimestamp(at=NINE), Checkpoint(position=AtTimestamp(at=NINE + 1)), True),
        (AtTimestamp(at=NINE), Checkpoint(position=AtTimestamp(at=NINE)), False),
        (AtTimestamp(at=NINE), Checkpoint(position=after(1), settled_at=NINE + 1), True),
        (AtTimestamp(at=NINE), Checkpoint(position=after(1), settled_at=NINE), False),
        (AtTimestamp(at=NINE), Checkpoint(position=after(1)), True),
    ],
)
def test_a_place_is_behind_where_settled_records_may_lie_beyond_it(
    position: Position, before: Checkpoint, expected: bool
) -> None:
    assert is_behind(position, before) is expected


def head(first: str, last: str) -> HeadBatch:
    return HeadBatch(factor=2, lane=0, first=first, last=last, failures=1, invocations=1)


def test_forwards_what_lanes_have_settled_beyond_stays_and_batches_that_are_passed_go() -> None:
    lanes = (LaneMarks(factor=2, marks=("90", None)),)
    window = OpenWindow(start=60, state=b"{}")
    before = Checkpoint(
        position=after(10), lanes=lanes, heads=(head("11", "12"), head("19", "21")), window=window, settled_at=5.0
    )
    expected = Checkpoint(position=after(20), lanes=lanes, heads=(head("19", "21"),), window=window)
    assert moved(before, after(20)) == expected


@pytest.mark.parametrize("position", [after(9), TrimHorizon(), AtTimestamp(at=NINE)])
def test_backwards_nothing_beyond_counts_as_settled(position: Position) -> None:
    before = Checkpoint(position=after(10), lanes=(LaneMarks(factor=1, marks=("90",)),), heads=(head("11", "12"),))
    assert moved(before, position) == Checkpoint(position=position)


class OneReader:
    """A source and its reader, which cannot be read from anywhere."""

    def __init__(self, fault: ReadFault) -> None:
        self.fault = fault
        self.is_closed = False

    def reader(self, shard_id: str) -> "OneReader":
        return self

    async def read(self, position: Position | None, *, maximum_count: int) -> Any:
        raise ShardReadError("no such number", fault=self.fault)

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (ReadFault.TRIMMED, "after 7 is older than what s still keeps: say --to TRIM_HORIZON"),
        (ReadFault.OTHER, "s cannot be read from after 7: no such number"),
    ],
)
async def test_a_place_that_the_stream_does_not_have_is_refused(fault: ReadFault, says: str) -> None:
    source = OneReader(fault)
    with pytest.raises(CommandError, match=says):
        await check_place(source, "s", after(7))  # type: ignore[arg-type]
    assert source.is_closed


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
