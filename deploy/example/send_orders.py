"""Makes the queue of `broker.yaml` in the emulator and sends orders to it, until it is stopped."""

import json
from itertools import count

import anyio
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

SECONDS_BETWEEN = 1.0


async def main() -> None:
    """Waits for the emulator first."""
    async with get_session().create_client("sqs") as client:
        url = None
        while url is None:
            try:
                url = (await client.create_queue(QueueName="orders"))["QueueUrl"]
            except (BotoCoreError, ClientError) as error:
                print(f"waits for the emulator: {error}")
                await anyio.sleep(SECONDS_BETWEEN)
        for number in count(1):
            await client.send_message(QueueUrl=url, MessageBody=json.dumps({"number": number}))
            await anyio.sleep(SECONDS_BETWEEN)


if __name__ == "__main__":
    anyio.run(main)
