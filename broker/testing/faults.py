"""What the fault verbs of queues and streams are made of."""

from dataclasses import dataclass

import anyio


@dataclass(slots=True, kw_only=True)
class Fault:
    """Something that waits for the next calls."""

    operations: tuple[str, ...]
    """The kinds of calls that it is meant for."""
    calls: int
    """How many calls it still strikes."""

    def strikes(self, operation: str) -> bool:
        """Whether it strikes this call; if so it is used up by one."""
        if operation not in self.operations or self.calls <= 0:
            return False
        self.calls -= 1
        return True


@dataclass(slots=True, kw_only=True)
class Slowness(Fault):
    """Time that a call takes."""

    request_seconds: float
    reply_seconds: float


class Signal:
    """Wakes those who wait for a change, in the order of their coming. Used in the event loop's thread only."""

    def __init__(self) -> None:
        self._waiting: dict[anyio.Event, None] = {}

    def notify(self) -> None:
        """Something changed."""
        for changed in self._waiting:
            changed.set()

    async def wait(self, seconds: float) -> None:
        """Returns at the next change, or after `seconds`."""
        changed = anyio.Event()
        self._waiting[changed] = None
        try:
            with anyio.move_on_after(seconds):
                await changed.wait()
        finally:
            del self._waiting[changed]


async def pause(seconds: float) -> None:
    """Sleeps where there is something to wait for."""
    if seconds > 0:
        await anyio.sleep(seconds)
