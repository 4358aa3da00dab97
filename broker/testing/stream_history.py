"""What happened to the records of a stream in memory, and whether that adds up."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class StreamHappening(StrEnum):
    """What can happen to the records of a shard, or to the shard itself."""

    PUT = "put"
    READ = "read"
    HANDLED = "handled"
    """A test noted that a handler had succeeded with it."""
    TRIMMED = "trimmed"
    """The stream forgot it: its retention was over."""
    CLOSED = "closed"
    """The shard was split, merged or rolled."""
    FORGOTTEN = "forgotten"
    """The shard has left the listing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHistoryEntry:
    """One thing that happened to records that follow one another in a shard."""

    at: float
    """Epoch seconds, by the broker's clock."""
    what: StreamHappening
    shard_id: str
    """Empty for `HANDLED`."""
    first: int = 0
    """The first record's sequence number; 0 where it happened to a shard."""
    last: int = 0
    """The last record's sequence number."""
    count: int = 0
    """Records from the first to the last."""
    reader: str = ""
    """Whoever read it: the name that was given to the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamAccount:
    """What became of all records of a stream: `put_count` is the sum of the next four."""

    put_count: int
    handled_count: int
    filtered_count: int
    discarded_count: int
    trimmed_count: int
    """Records that the stream forgot before anything else became of them."""
    duplicate_count: int
    """How often a record was handled beyond once."""


class StreamHistory:
    """Everything that happened in one stream, in order."""

    def __init__(self) -> None:
        self._entries: list[StreamHistoryEntry] = []
        self._put: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[StreamHistoryEntry]:
        return iter(self._entries)

    def add(self, entry: StreamHistoryEntry) -> None:
        """Writes one entry."""
        self._entries.append(entry)
        if entry.what is StreamHappening.PUT:
            self._put[entry.first] = entry.shard_id

    def of(self, sequence_number: str) -> tuple[StreamHappening, ...]:
        """What happened to one record, in order."""
        number = int(sequence_number)
        shards = {self._put.get(number, ""), ""}
        return tuple(e.what for e in self._entries if e.first <= number <= e.last and e.shard_id in shards)

    def sequence_numbers(self, shard_id: str | None = None) -> tuple[str, ...]:
        """The records that were put (into this shard), in order."""
        return tuple(str(number) for number, shard in self._put.items() if shard_id in (None, shard))

    def reads(self, shard_id: str) -> tuple[StreamHistoryEntry, ...]:
        """The reads of one shard that brought records."""
        return tuple(e for e in self._entries if e.what is StreamHappening.READ and e.shard_id == shard_id)

    def handled(self) -> tuple[str, ...]:
        """The records that were noted as handled, in order, as often as they were."""
        return tuple(str(entry.first) for entry in self._entries if entry.what is StreamHappening.HANDLED)

    def account(
        self, *, handled: Iterable[str] | None, filtered: Iterable[str], discarded: Iterable[str], may_lose: bool
    ) -> StreamAccount:
        """Adds up; see `InMemoryStream.every_record_accounted`."""
        times = Counter(map(int, self.handled() if handled is None else handled))
        dropped, given_up = set(map(int, filtered)), set(map(int, discarded))
        known = times.keys() | dropped | given_up
        if strange := known - self._put.keys():
            raise AssertionError(f"never put: {sorted(strange)}")
        trimmed = self._trimmed() - known
        if lost := self._put.keys() - known - (trimmed if may_lose else set()):
            raise AssertionError(f"neither handled nor filtered nor discarded: {self._describe(lost)}")
        return StreamAccount(
            put_count=len(self._put),
            handled_count=len(times),
            filtered_count=len(dropped - times.keys()),
            discarded_count=len(given_up - times.keys() - dropped),
            trimmed_count=len(trimmed),
            duplicate_count=times.total() - len(times),
        )

    def _trimmed(self) -> set[int]:
        cuts = [entry for entry in self._entries if entry.what is StreamHappening.TRIMMED]
        horizons = {cut.shard_id: cut.last for cut in cuts}
        return {number for number, shard in self._put.items() if number <= horizons.get(shard, 0)}

    def _describe(self, numbers: Iterable[int]) -> str:
        return ", ".join(f"{number} of {self._put[number]}" for number in sorted(numbers))
