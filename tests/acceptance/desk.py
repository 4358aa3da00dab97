"""A queue and a broker for it, ready to be started."""

import json
from typing import Any
from uuid import uuid4

from tests.acceptance.command import Place, Running

FILE = """\
Functions:
  - {FunctionName: orders, Callable: "app:handler", Timeout: 20}
EventSourceMappings:
  - FunctionName: orders
    EventSourceArn: arn:aws:sqs:eu-west-1:123456789012:QUEUE
    FilterCriteria: {Filters: [{Pattern: '{"body":{"kind":["order"]}}'}]}
    Broker: {LongPollSeconds: 1}
"""
HANDLER = """\
def handler(event, context):
    for record in event["Records"]:
        print("handled", record["messageId"], flush=True)
"""


class Desk:
    """A queue in the emulator, and a folder with a broker for it."""

    def __init__(self, place: Place, sqs: Any, *, handler: str = HANDLER, **attributes: str) -> None:
        self.place = place
        self.sqs = sqs
        self.name = f"orders-{uuid4()}"
        self.url = sqs.create_queue(QueueName=self.name, Attributes=attributes)["QueueUrl"]
        place.write("broker.yaml", FILE.replace("QUEUE", self.name))
        place.write("app.py", handler)

    def send(self, kind: str = "order", note: str = "") -> str:
        body = json.dumps({"kind": kind, "note": note})
        return self.sqs.send_message(QueueUrl=self.url, MessageBody=body)["MessageId"]

    def depth(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(map(int, attributes.values()))


def events_of(running: Running, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in running.text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]
