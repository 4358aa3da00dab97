"""Canned answers of SQS: pages of ten messages of 1 KB that all differ."""

import hashlib
import json
import random
import uuid

MESSAGES_PER_PAGE = 10
_BODY_BYTES = 1024
_RECEIPT_CHARACTERS = 412  # as long as those of AWS


def receive_pages(count: int, seed: int = 20) -> list[bytes]:
    """Answers of ReceiveMessage."""
    chance = random.Random(seed)
    return [_page(chance) for _ in range(count)]


def _page(chance: random.Random) -> bytes:
    return json.dumps({"Messages": [_message(chance) for _ in range(MESSAGES_PER_PAGE)]}).encode()


def _message(chance: random.Random) -> dict[str, object]:
    body = order_body(chance)
    sent_at = 1_790_000_000_000 + chance.randrange(10**9)
    return {
        "MessageId": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "ReceiptHandle": "AQEB" + _letters(chance, _RECEIPT_CHARACTERS - 4),
        "MD5OfBody": hashlib.md5(body.encode()).hexdigest(),
        "Body": body,
        "Attributes": {
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": str(sent_at + 17),
            "ApproximateReceiveCount": str(chance.randrange(1, 4)),
            "SentTimestamp": str(sent_at),
        },
        "MD5OfMessageAttributes": "d25a6aea97eb8f585bfa92d314504a92",
        "MessageAttributes": {"Kind": {"StringValue": chance.choice(["order", "refund"]), "DataType": "String"}},
    }


def order_body(chance: random.Random) -> str:
    """An order as 1 KB of JSON."""
    order = {
        "kind": "order",
        "id": chance.getrandbits(60),
        "customer": _letters(chance, 24),
        "lines": [
            {"sku": _letters(chance, 12), "count": chance.randrange(9), "price": chance.random()} for _ in range(8)
        ],
    }
    text = json.dumps(order)
    order["note"] = _letters(chance, _BODY_BYTES - len(text) - len(', "note": ""'))
    return json.dumps(order)


def _letters(chance: random.Random, count: int) -> str:
    return "".join(chance.choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/", k=count))
