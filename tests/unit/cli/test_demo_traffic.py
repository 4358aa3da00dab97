import anyio
import pytest

from broker.cli.demo_traffic import SENDING_INTERVAL_SECONDS, Sender

pytestmark = pytest.mark.anyio


async def test_everything_is_sent_again_and_again_until_stopped() -> None:
    sent: list[str] = []

    async def orders() -> None:
        sent.append("orders")

    async def clicks() -> None:
        sent.append("clicks")

    sender = Sender(orders, clicks)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sender.run)
        await anyio.sleep(SENDING_INTERVAL_SECONDS * 1.5)
        sender.stop()
    assert sent == ["orders", "clicks"] * 2
