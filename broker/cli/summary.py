"""The end of a demonstration: did everything that was sent end somewhere, exactly once?

Each count is measured by somebody else: the sender counts what queues and streams took, the handlers what they saw
through. What the filter of a queue dropped and what went to no destination the broker says. The emulator is asked what
its queues still hold, dead-letter queues and destinations too; what of a stream is settled the state store says, and
the emulator has the records: those that are not, and those that are and that no pattern lets through.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from broker.cli.output import Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What was sent to one queue or stream, and where it ended."""

    source: str
    sent: int
    ends: Mapping[str, int]
    """How much ended where: `handled`, `filtered` …; handled counts distinct messages or records."""
    handled_again: int = 0
    """How often something was handled that had been handled before."""

    @property
    def missing(self) -> int:
        """What was sent and is nowhere; negative where there is more than was sent."""
        return self.sent - sum(self.ends.values())


def total(accounts: Sequence[Account]) -> Account:
    """All together; their ends have the same names."""
    return Account(
        source="total",
        sent=sum(account.sent for account in accounts),
        ends={end: sum(account.ends[end] for account in accounts) for end in accounts[0].ends},
        handled_again=sum(account.handled_again for account in accounts),
    )


def columns(kind: str, accounts: Sequence[Account]) -> list[Column]:
    """The columns for accounts of one kind: `queue`, `stream`."""
    return [Column(title=kind), *(Column(title=name, number=True) for name in ("sent", *accounts[0].ends))]


def rows(accounts: Sequence[Account]) -> list[list[object]]:
    """A row for each account, and the total."""
    return [[each.source, each.sent, *each.ends.values()] for each in (*accounts, total(accounts))]


def adds_up(accounts: Sequence[Account]) -> bool:
    """Whether the counts of every single account add up."""
    return all(account.missing == 0 for account in accounts)


def sentences(kinds: Sequence[Sequence[Account]]) -> list[str]:
    """The equation for all accounts of each kind, the verdict, and the equation of each that does not add up."""
    every = [account for accounts in kinds for account in accounts]
    lines = [_equation(total(accounts)) for accounts in kinds]
    lines.append("It adds up." if adds_up(every) else "IT DOES NOT ADD UP.")
    lines += [
        f"{account.source}: {_equation(account)}: off by {account.missing:+d}" for account in every if account.missing
    ]
    if again := sum(account.handled_again for account in every):
        lines.append(f"handled more than once: {again}")
    return lines


def _equation(account: Account) -> str:
    ends = " + ".join(f"{name} {count}" for name, count in account.ends.items())
    return f"sent {account.sent} = {ends}"
