"""Calls that cancellation must not interrupt, but time may: what was handled is settled also while a broker ends."""

from math import inf
from types import TracebackType

from anyio import CancelScope, current_time


class Settlements:
    """The settlements of one performer; each lasts at most `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end_at = inf
        self._open: set[CancelScope] = set()

    def limit(self, seconds: float) -> None:
        """From now on, none lasts longer than so many seconds from now."""
        self._end_at = min(self._end_at, current_time() + seconds)
        for scope in self._open:
            scope.deadline = min(scope.deadline, self._end_at)

    def settling(self) -> "Settlement":
        """`with settlements.settling():` around one call; what is not done in time is given up, without an error."""
        return Settlement(self._open, ends_at=min(current_time() + self._seconds, self._end_at))


class Settlement:
    """One of them."""

    __slots__ = ("_open", "_scope")

    def __init__(self, open_scopes: set[CancelScope], *, ends_at: float) -> None:
        self._open = open_scopes
        self._scope = CancelScope(deadline=ends_at, shield=True)

    def __enter__(self) -> None:
        self._scope.__enter__()
        self._open.add(self._scope)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._open.discard(self._scope)
        return bool(self._scope.__exit__(kind, error, traceback))
