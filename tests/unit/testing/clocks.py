"""A clock for tests without an event loop."""


class HandClock:
    """Stands still until it is moved."""

    def __init__(self, at: float = 1000.0) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += seconds
