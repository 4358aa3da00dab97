"""Who is subscribed to the shards of a stream in memory: enhanced fan-out.

Source: Amazon Kinesis Data Streams API reference, SubscribeToShard (read November 2026).
"""

from dataclasses import dataclass

from broker.errors import ReadFault, ShardReadError

LIFETIME_SECONDS = 300
"""After which a subscription ends."""
SHORTEST_GAP_SECONDS = 5
"""Between two subscriptions of one consumer to one shard."""


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """One call of SubscribeToShard; a newer one of the same consumer to the same shard ends it."""

    began_at: float
    expiry_count: int
    """How many times all iterators of the stream had been expired."""


class Subscriptions:
    """The newest subscription of each consumer to each shard."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str], Subscription] = {}

    def begin(self, consumer: str, shard_id: str, *, now: float, expiry_count: int) -> Subscription:
        """Subscribes. Raises `ShardReadError` within five seconds of the last time."""
        newest = self._newest.get((consumer, shard_id))
        if newest is not None and now - newest.began_at < SHORTEST_GAP_SECONDS:
            raise ShardReadError(
                f"Another subscription of {consumer} to {shard_id} was made within the last 5 seconds.",
                fault=ReadFault.OTHER,
                code="ResourceInUseException",
            )
        subscription = Subscription(now, expiry_count)
        self._newest[consumer, shard_id] = subscription
        return subscription

    def ends_at(self, consumer: str, shard_id: str, subscription: Subscription, *, expiry_count: int) -> float:
        """The instant at which it ends; in the past where another one or a fault verb has ended it."""
        if self._newest.get((consumer, shard_id)) is not subscription or subscription.expiry_count != expiry_count:
            return subscription.began_at
        return subscription.began_at + LIFETIME_SECONDS
