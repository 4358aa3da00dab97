"""The service's time as it answered, to a fraction of a second where that can be known.

`Date` has whole seconds. Where the local clock lies within the second that it names, the local clock is finer and as
true; where it does not, the clocks differ or the answer waited, and only the named second is certain.

The rule is inferred: AWS documents no finer source of its time.
"""

_LATEST_FRACTION = 0.999
"""The last instant of the second that `Date` names, as finely as records are dated."""


def server_time(*, sent_at: float | None, now: float) -> float:
    """The service's time, epoch seconds, within the second that its `Date` names.

    `sent_at` is `Date` (whole epoch seconds; None where the service did not say: then `now`), `now` the local clock.
    """
    if sent_at is None:
        return now
    return min(max(now, sent_at), sent_at + _LATEST_FRACTION)
