"""The accounts of the demonstration: for each count, whoever knows it first hand is asked."""

from collections.abc import Callable, Mapping

import orjson

from broker.aws.clients import Clients
from broker.cli import demo_streams
from broker.cli.demo_world import World
from broker.cli.progress import Progress
from broker.cli.remains import everything, stream_source, unsettled
from broker.cli.summary import Account
from broker.cli.view import Depths
from broker.model.stream import StreamRecord

BATCH_INFOS = ("KinesisBatchInfo", "DDBStreamBatchInfo")
"""The member of a failure record that says whose records they are, and how many."""


def queue_accounts(world: World, progress: Progress, depths: Mapping[str, Depths]) -> list[Account]:
    """The account of each queue."""
    accounts = []
    for queue, uuid in world.queue_identities.items():
        ends = {
            "filtered": progress.tallies[uuid].filtered,
            "dead-lettered": depths[queue].dead_lettered or 0,
            "still queued": depths[queue].queued,
        }
        accounts.append(_account(world, queue, ends))
    return accounts


async def stream_accounts(world: World, progress: Progress) -> list[Account]:
    """The account of each stream; empties the destination's queue."""
    delivered = delivered_counts(await world.queues.take_all(demo_streams.FAILED_CLICKS.name))
    wanted: dict[str, tuple[str, Callable[[StreamRecord], bool]]] = {
        demo_streams.CLICKS: (world.sources.clicks, demo_streams.is_real_click),
        demo_streams.STOCK: (world.sources.stock, demo_streams.is_real_change),
    }
    accounts = []
    async with Clients() as clients:
        for name, (arn, is_wanted) in wanted.items():
            uuid, source = world.stream_identities[name], stream_source(arn, clients)
            held, left = await everything(source), await unsettled(source, world.store, uuid)
            ends = {
                "filtered": _unwanted(held, is_wanted) - _unwanted(left, is_wanted),
                "in destination": delivered.get(arn, 0),
                "dropped": progress.tallies[uuid].dropped,
                "left": len(left),
            }
            accounts.append(_account(world, name, ends))
    return accounts


def _account(world: World, source: str, ends: Mapping[str, int]) -> Account:
    handled = world.ledger.handled[source]
    distinct = len(set(handled))
    return Account(
        source=source,
        sent=world.ledger.sent[source],
        ends={"handled": distinct, **ends},
        handled_again=len(handled) - distinct,
    )


def delivered_counts(bodies: list[str]) -> dict[str, int]:
    """How many records failure records stand for, by the stream's ARN."""
    counts: dict[str, int] = {}
    for record in map(orjson.loads, bodies):
        info = next(record[name] for name in BATCH_INFOS if name in record)
        counts[info["streamArn"]] = counts.get(info["streamArn"], 0) + info["batchSize"]
    return counts


def _unwanted(records: list[StreamRecord], is_wanted: Callable[[StreamRecord], bool]) -> int:
    return sum(not is_wanted(record) for record in records)
