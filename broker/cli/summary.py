"""The end of a demonstration: did every message that was sent end somewhere, exactly once?

Each count is measured by somebody else: the sender counts what the queues took, the handlers what they saw through,
the broker what its filters dropped, and the emulator is asked what its queues still hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from broker.cli.output import Column

COLUMNS = (
    Column(title="queue"),
    Column(title="sent", number=True),
    Column(title="handled", number=True),
    Column(title="filtered", number=True),
    Column(title="dead-lettered", number=True),
    Column(title="still queued", number=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The messages of one queue."""

    queue: str
    sent: int
    handled: int
    """Distinct messages."""
    filtered: int
    dead_lettered: int
    queued: int
    """Still in the queue, in flight included."""
    handled_again: int = 0
    """How often a message was handled that had been handled before."""

    @property
    def missing(self) -> int:
        """Messages that were sent and are nowhere; negative where there are more than were sent."""
        return self.sent - self.handled - self.filtered - self.dead_lettered - self.queued


def total(accounts: Sequence[Account]) -> Account:
    """All queues together."""
    return Account(
        queue="total",
        sent=sum(account.sent for account in accounts),
        handled=sum(account.handled for account in accounts),
        filtered=sum(account.filtered for account in accounts),
        dead_lettered=sum(account.dead_lettered for account in accounts),
        queued=sum(account.queued for account in accounts),
        handled_again=sum(account.handled_again for account in accounts),
    )


def rows(accounts: Sequence[Account]) -> list[list[object]]:
    """A row for each queue, and the total."""
    return [
        [each.queue, each.sent, each.handled, each.filtered, each.dead_lettered, each.queued]
        for each in (*accounts, total(accounts))
    ]


def adds_up(accounts: Sequence[Account]) -> bool:
    """Whether the counts of every single queue add up."""
    return all(account.missing == 0 for account in accounts)


def sentences(accounts: Sequence[Account]) -> list[str]:
    """The equation, for all queues and for each that does not add up."""
    lines = [_equation(total(accounts)), "It adds up." if adds_up(accounts) else "IT DOES NOT ADD UP."]
    lines += [
        f"{account.queue}: {_equation(account)}: off by {account.missing:+d}" for account in accounts if account.missing
    ]
    if again := total(accounts).handled_again:
        lines.append(f"handled more than once: {again}")
    return lines


def _equation(account: Account) -> str:
    return (
        f"sent {account.sent} = handled {account.handled} + filtered {account.filtered} "
        f"+ dead-lettered {account.dead_lettered} + still queued {account.queued}"
    )
