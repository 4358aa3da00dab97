"""What one simulated fleet is like: everything is drawn from the seed, so that a seed is the whole history."""

import random
from dataclasses import dataclass
from typing import Any

TIMEOUT_SECONDS = 30
"""The function's time limit: handlers take up to 20 s, and one in a hundred hangs."""
LEASE_SECONDS = 10.0
DESTINATION = "arn:aws:sqs:eu-west-1:123456789012:given-up"
MOST_BROKERS = 8
MOST_SHARDS = {"kinesis": 8, "fan-out": 8, "dynamodb": 2}
"""Open at once: a shard of DynamoDB is polled four times as often."""
DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """One fleet, its stream, its mapping, and how often what befalls it."""

    seed: int
    minutes: float
    kind: str
    """`kinesis`, `fan-out` or `dynamodb`."""
    shards: int
    brokers: int
    records: int
    keys: int
    starting_position: str
    factor: int
    batch_size: int
    window_seconds: int
    partial: bool
    bisect: bool
    retries: int
    age_seconds: int
    has_destination: bool
    blocks_on_destination: bool
    filters: bool
    waits_out_expired: bool
    slowest_seconds: float
    """Handlers run from 0.01 s to this, evenly in the logarithm."""
    failure_share: float
    poison_share: float
    """Records that always fail until the faults end."""
    clock_offset_seconds: float
    """How far the service's clock is ahead."""
    retention_seconds: float
    store_seconds: float
    """The longest answer of the store while all is well."""
    gap_seconds: float
    """Between things that befall the fleet, on average."""
    steals: bool
    """Whether leases are stolen now and then."""

    @property
    def mapping(self) -> dict[str, Any]:
        """The mapping's fields, as the library takes them."""
        fields: dict[str, Any] = {
            "function_name": "orders",
            "timeout": TIMEOUT_SECONDS,
            "starting_position": self.starting_position,
            "parallelization_factor": self.factor,
            "batch_size": self.batch_size,
            "maximum_batching_window_in_seconds": self.window_seconds,
            "maximum_retry_attempts": self.retries,
            "maximum_record_age_in_seconds": self.age_seconds,
            "bisect_batch_on_function_error": self.bisect,
            "broker": self._extensions,
        }
        if self.partial:
            fields["report_batch_item_failures"] = True
        if self.has_destination:
            fields["destination_config"] = {"OnFailure": {"Destination": DESTINATION}}
        if self.filters:
            fields["filter_criteria"] = {"Filters": [{"Pattern": self._pattern}]}
        return fields

    @property
    def _extensions(self) -> dict[str, str]:
        extensions = {}
        if self.waits_out_expired:
            extensions["TakeOver"] = "ordered"
        if self.blocks_on_destination:
            extensions["DestinationOutage"] = "block"
        return extensions

    @property
    def _pattern(self) -> str:
        if self.kind == "dynamodb":
            return '{"dynamodb":{"NewImage":{"kind":{"S":["order"]}}}}'
        return '{"data":{"kind":["order"]}}'


def drawn(seed: int, *, minutes: float = 10.0) -> FleetPlan:
    """The plan of a seed."""
    draw = random.Random(f"plan {seed}")
    kind = draw.choice(["kinesis"] * 6 + ["dynamodb"] * 2 + ["fan-out"] * 2)
    positions = ["TRIM_HORIZON", "TRIM_HORIZON", "LATEST"] + ["AT_TIMESTAMP"] * (kind != "dynamodb")
    position = draw.choice(positions)
    offsets = [0.0, 0.0, 0.4, -2.5, 400.0, -3600.0]
    has_destination = draw.random() < 0.4
    return FleetPlan(
        seed=seed,
        minutes=minutes,
        kind=kind,
        shards=draw.choice([1, 1, 2] if kind == "dynamodb" else [1] * 6 + [2] * 4 + [3] * 2 + [8]),
        brokers=draw.choice([1] * 2 + [2] * 8 + [3] * 4 + [4, 8]),
        records=int(draw.choice([60, 150, 300]) * minutes / 10),
        keys=draw.choice([2, 5, 12, 30]),
        starting_position=position,
        factor=draw.choice([1, 1, 1, 2, 3, 4]),
        batch_size=draw.choice([1, 3, 10, 10, 50, 100]),
        window_seconds=draw.choice([0, 0, 0, 1, 3]),
        partial=draw.random() < 0.5,
        bisect=draw.random() < 0.4,
        retries=draw.choice([-1, -1, 0, 2, 5]),
        age_seconds=draw.choice([-1, -1, -1, 60, 300]),
        has_destination=has_destination,
        blocks_on_destination=has_destination and draw.random() < 0.3,
        filters=draw.random() < 0.25,
        waits_out_expired=draw.random() < 0.15,
        slowest_seconds=draw.choice([0.1, 1.0, 5.0, 20.0]),
        failure_share=draw.choice([0.0, 0.05, 0.15]),
        poison_share=draw.choice([0.0, 0.01, 0.03]),
        clock_offset_seconds=0.0 if position == "AT_TIMESTAMP" else draw.choice(offsets),
        retention_seconds=draw.choice([DAY_SECONDS, DAY_SECONDS, DAY_SECONDS, 240.0]),
        store_seconds=draw.choice([0.0, 0.0, 0.0, 0.03]),
        gap_seconds=draw.choice([8.0, 20.0, 40.0]),
        steals=draw.random() < 0.2,
    )
