"""What a broker takes from the world, and what takes the place of it."""

import os
import random
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from anyio import to_thread

from broker.executors.in_process import RunSync
from broker.ports import Clock, Destination, QueueSource, StreamSource
from broker.runtime.clock import SystemClock
from broker.stores.opening import OpenStateStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a broker takes from the world besides AWS. Tests replace it, so that a run can be repeated."""

    clock: Clock = field(default_factory=SystemClock)
    chance: Callable[[], float] = random.random
    """Jitter in [0, 1)."""
    new_id: Callable[[], UUID] = uuid4
    run_sync: RunSync | None = None
    """Runs plain functions on worker threads; if absent the clock's own (virtual time has one), else anyio's."""
    folders: tuple[Path, ...] = ()
    """Where modules of callables may lie besides `sys.path`."""
    worker_name: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    """What the leases of this process are known by, to people; an id is added to it."""
    raise_bugs: bool = False
    """Whether a bug ends the whole broker instead of one mapping."""

    @property
    def is_virtual(self) -> bool:
        """Whether time is made up: then nothing runs on a thread of its own, for which time would be another."""
        return hasattr(self.clock, "run_sync")

    @property
    def thread_runner(self) -> RunSync:
        """What runs plain functions."""
        of_clock: RunSync | None = getattr(self.clock, "run_sync", None)
        return self.run_sync or of_clock or to_thread.run_sync


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What takes the place of AWS's services, by ARN, and of the store that the settings name."""

    queues: Mapping[str, QueueSource]
    streams: Mapping[str, StreamSource]
    destinations: Mapping[str, Destination]
    store: OpenStateStore | None
