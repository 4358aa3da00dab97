"""The queues of the built-in demonstration of `broker dev`: an order desk whose handlers fail in known ways.

`orders` is a standard queue with a dead-letter queue. Its handler reports the orders of a batch that failed: every
tenth always fails and ends in the dead-letter queue, every seventh fails once and is handled when it comes again.
`payments.fifo` keeps each customer's payments in order; a filter drops the test payments, one in five.
"""

import json
from typing import Any

import anyio

from broker.app import Broker
from broker.cli.demo_traffic import Ledger
from broker.cli.emulated_queues import EmulatedQueues, QueuePlan

ORDERS = QueuePlan(name="orders", visibility_timeout_seconds=2, dead_letter_name="orders-dead", maximum_receive_count=2)
PAYMENTS = QueuePlan(name="payments.fifo", visibility_timeout_seconds=2)
FUNCTIONS = {ORDERS: "orders", PAYMENTS: "payments"}
"""Which function handles which queue."""
PLANS = tuple(FUNCTIONS)
ABOUT = "orders: 1 in 10 always fails, 1 in 7 once · payments.fifo: tests filtered away"

HANDLER_SECONDS = 1
"""Time limit of the handlers; at most the queues' visibility timeout."""
SETTLING_SECONDS = 2 * ORDERS.visibility_timeout_seconds + 1
"""How long the last failing order needs until it is in the dead-letter queue."""
LONG_POLL_SECONDS = 1
"""Short, so that a drain is."""

ORDERS_EACH_TIME = 5
PAYMENTS_EACH_TIME = 3
CUSTOMERS = 4
REAL_PAYMENTS = {"Pattern": json.dumps({"body": {"kind": ["payment"]}})}


def register_handlers(broker: Broker, queues: EmulatedQueues, ledger: Ledger) -> None:
    """Registers both handlers, as any program would that embeds the broker."""

    @broker.event_source_mapping(
        queues.arn(ORDERS.name),
        function_name=FUNCTIONS[ORDERS],
        timeout=HANDLER_SECONDS,
        report_batch_item_failures=True,
        broker={"LongPollSeconds": LONG_POLL_SECONDS},
    )
    async def orders(event: dict[str, Any], _context: object) -> dict[str, Any]:
        failed = []
        for record in event["Records"]:
            await anyio.sleep(0.02)
            number = json.loads(record["body"])["number"]
            if order_fails(number, times_received=int(record["attributes"]["ApproximateReceiveCount"])):
                failed.append({"itemIdentifier": record["messageId"]})
            else:
                ledger.handled[ORDERS.name].append(number)
        return {"batchItemFailures": failed}

    @broker.event_source_mapping(
        queues.arn(PAYMENTS.name),
        function_name=FUNCTIONS[PAYMENTS],
        timeout=HANDLER_SECONDS,
        filter_criteria={"Filters": [REAL_PAYMENTS]},
        broker={"LongPollSeconds": LONG_POLL_SECONDS},
    )
    def payments(event: dict[str, Any], _context: object) -> None:
        for record in event["Records"]:
            ledger.handled[PAYMENTS.name].append(json.loads(record["body"])["number"])


def order_fails(number: int, *, times_received: int) -> bool:
    """Every tenth order always fails, every seventh the first time."""
    return number % 10 == 0 or (number % 7 == 0 and times_received == 1)


class QueueTraffic:
    """Sends orders and payments."""

    def __init__(self, queues: EmulatedQueues, ledger: Ledger) -> None:
        self._queues = queues
        self._ledger = ledger
        self._number = 0

    async def send(self) -> None:
        """Sends a few of each."""
        await self._send(ORDERS.name, [self._body("order") for _ in range(ORDERS_EACH_TIME)])
        await self._send(PAYMENTS.name, [self._body("payment") for _ in range(PAYMENTS_EACH_TIME)])

    def _body(self, kind: str) -> dict[str, Any]:
        self._number += 1
        test = kind == "payment" and self._number % 5 == 0
        customer = f"customer-{self._number % CUSTOMERS}"
        return {"number": self._number, "kind": "test" if test else kind, "customer": customer}

    async def _send(self, name: str, bodies: list[dict[str, Any]]) -> None:
        groups = [body["customer"] for body in bodies] if name == PAYMENTS.name else []
        self._ledger.sent[name] += await self._queues.send(name, [json.dumps(body) for body in bodies], groups=groups)
