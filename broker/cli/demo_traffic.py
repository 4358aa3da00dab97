"""What the demonstration sends, and what it knows of it by itself."""

from collections import defaultdict
from collections.abc import Awaitable, Callable

import anyio

SENDING_INTERVAL_SECONDS = 0.5


class Ledger:
    """What the demonstration itself knows, so that the broker's word need not be taken for it."""

    def __init__(self) -> None:
        self.sent: dict[str, int] = defaultdict(int)
        """Messages that each queue took, and records that each stream took."""
        self.handled: dict[str, list[int]] = defaultdict(list)
        """What each handler saw through, in order: numbers of messages, sequence numbers of records; appended from
        several threads."""


class Sender:
    """Does each of `sends` again and again, until stopped."""

    def __init__(self, *sends: Callable[[], Awaitable[None]]) -> None:
        self._sends = sends
        self._stopping = anyio.Event()

    def stop(self) -> None:
        """Sends no more; a send that is under way still counts."""
        self._stopping.set()

    async def run(self) -> None:
        """Sends until stopped."""
        while not self._stopping.is_set():
            for send in self._sends:
                await send()
            with anyio.move_on_after(SENDING_INTERVAL_SECONDS):
                await self._stopping.wait()
