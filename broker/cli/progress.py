"""What the live view shows: an observer that counts what happens to each mapping and keeps the last events as lines.

What went well has one line, the latest of it, so that it does not drive out what somebody should read.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from broker.cli.lines import is_success, line_of, shard_label
from broker.model.observation import BatchInvoked, BatchSettled, Observation, PageReceived, RecordsDiscarded

KEPT_LINES = 100
BROKER = "broker"
"""Who speaks where an observation is of no mapping."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of one mapping since the start, in records except for batches."""

    polled: int = 0
    filtered: int = 0
    batches: int = 0
    handled: int = 0
    retried: int = 0
    delivered: int = 0
    """Given up, and in the on-failure destination."""
    dropped: int = 0
    """Given up, and in none."""


class Progress:
    """Counts by mapping, and lines such as `orders: batch 12: 9 handled, 1 to retry`.

    `names` are what people know the mappings by, by UUID. `say` gets the lines worth a reader's time: all but those of
    what went well.
    """

    def __init__(self, names: Mapping[str, str], *, say: Callable[[str], None] | None = None) -> None:
        self.tallies: dict[str, Tally] = defaultdict(Tally)
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._names = names
        self._say = say
        self._latest_quiet = ""

    def observe(self, mapping: str, observation: Observation) -> None:
        """Counts, and keeps a line where there is something to say."""
        count(self.tallies[mapping], observation)
        if text := line_of(observation):
            name = self.name_of(mapping) or BROKER
            shard: str = getattr(observation, "shard", "")
            who = f"{name} {shard_label(shard)}" if shard else name
            self.note(f"{who}: {text}", loud=not is_success(observation))

    def name_of(self, mapping: str) -> str:
        """What people know a mapping by."""
        return self._names.get(mapping, mapping)

    def note(self, line: str, *, loud: bool = True) -> None:
        """Keeps a line, and says it where it is loud. Of those that are not, only the latest is kept."""
        line = printable(line)
        if not loud:
            self._replace_quiet(line)
        self.lines.append(line)
        if loud and self._say:
            self._say(line)

    def _replace_quiet(self, line: str) -> None:
        if self._latest_quiet in self.lines:
            self.lines.remove(self._latest_quiet)
        self._latest_quiet = line


def printable(text: str) -> str:
    """One line without anything that moves a cursor or that no terminal can show: handlers put their texts here."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def count(tally: Tally, observation: Observation) -> None:
    """Adds one observation to the counts."""
    match observation:
        case PageReceived():
            tally.polled += observation.count
            tally.filtered += observation.filtered_count
        case BatchInvoked(attempt=1):
            tally.batches += 1
        case BatchSettled():
            tally.handled += observation.acked_count
            tally.retried += observation.retried_count
        case RecordsDiscarded(delivered=True):
            tally.delivered += observation.count
        case RecordsDiscarded():
            tally.dropped += observation.count
        case _:
            pass
