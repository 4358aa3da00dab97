"""Makes the queue and the stream of `broker.yaml` in the emulator and feeds them, until it is stopped."""

import json
from itertools import count
from typing import Any

import anyio
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

SECONDS_BETWEEN = 1.0
CUSTOMERS = 5


async def make(sqs: Any, kinesis: Any) -> str:
    """Makes both as soon as the emulator answers; returns the queue's URL."""
    while True:
        try:
            url: str = (await sqs.create_queue(QueueName="orders"))["QueueUrl"]
            await kinesis.create_stream(StreamName="clicks", ShardCount=2)
        except kinesis.exceptions.ResourceInUseException:
            return url
        except (BotoCoreError, ClientError) as error:
            print(f"waits for the emulator: {error}")
            await anyio.sleep(SECONDS_BETWEEN)
        else:
            return url


async def main() -> None:
    """An order and a click a second."""
    session = get_session()
    async with session.create_client("sqs") as sqs, session.create_client("kinesis") as kinesis:
        url = await make(sqs, kinesis)
        for number in count(1):
            await sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"number": number}))
            customer = f"customer-{number % CUSTOMERS}"
            click = json.dumps({"page": f"/articles/{number}"}).encode()
            await kinesis.put_record(StreamName="clicks", PartitionKey=customer, Data=click)
            await anyio.sleep(SECONDS_BETWEEN)


if __name__ == "__main__":
    anyio.run(main)
