"""Messages for tests of the parts of a consumer."""

from broker.model.record import Record


def record(
    name: str,
    *,
    group: str | None = None,
    size: int = 2,
    receives: int = 1,
    received_at: float = 0.0,
    visible_until: float = 30.0,
) -> Record:
    """A message of `size` bytes whose receipt says which receive it is of."""
    return Record(
        identifier=name,
        event={"messageId": name},
        json=b"." * size,
        receipt=f"{name}/{receives}",
        received_at=received_at,
        visible_until=visible_until,
        group=group,
        receive_count=receives,
    )


def records(names: str, *, group: str | None = None, size: int = 2) -> list[Record]:
    """A message for each letter."""
    return [record(name, group=group, size=size) for name in names]


def names(records: object) -> str:
    """The letters again."""
    return "".join(each.identifier for each in records)
