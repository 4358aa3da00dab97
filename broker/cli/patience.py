"""Reading a shard beside those who consume it: the service lets all of them together read only so often."""

import anyio

from broker.errors import ReadFault, ShardReadError
from broker.model.stream import Page, Position
from broker.ports import ShardReader

ATTEMPTS = 10
THROTTLED_SECONDS = 1.0
"""Limits are those of a second."""


async def read_patiently(
    reader: ShardReader, position: Position | None, *, otherwise: Position, maximum_count: int
) -> Page:
    """The next page, tried again while the shard's throughput is used up.

    `otherwise` is where to go on after such an error, which closes the place in the shard. Raises `ShardReadError`.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return await reader.read(position, maximum_count=maximum_count)
        except ShardReadError as error:
            if error.fault is not ReadFault.THROTTLED:
                raise
        await anyio.sleep(THROTTLED_SECONDS)
        position = otherwise
    return await reader.read(position, maximum_count=maximum_count)
