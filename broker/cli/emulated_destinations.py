"""The on-failure destinations inside the emulator."""

from typing import Any

from broker.cli.emulated_clients import emulated_client, making
from broker.cli.emulator import Emulator
from broker.model.arn import Arn


async def make_destination(emulator: Emulator, destination: Arn) -> None:
    """Makes the queue, topic or bucket of an on-failure destination in the emulator's account and region.

    One that is there already stays as it is. Raises `SourceError`.
    """
    async with emulated_client(destination.service, emulator) as client:
        with making("making the on-failure destination", destination.resource):
            await _make(client, destination, emulator.region)


async def _make(client: Any, destination: Arn, region: str) -> None:
    match destination.service:
        case "sqs":
            await client.create_queue(QueueName=destination.resource)
        case "sns":
            await client.create_topic(Name=destination.resource)
        case _:
            place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
            await client.create_bucket(Bucket=destination.resource, **place)
