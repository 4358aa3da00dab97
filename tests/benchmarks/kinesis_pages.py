"""Canned answers of Kinesis: pages of a thousand records of 1 KB that all differ, their numbers in order."""

import json
import random
from base64 import b64encode

from tests.benchmarks.sqs_pages import order_body

RECORDS_PER_PAGE = 1_000
PAGES = 20
_FIRST = 49590338271490256608559692538361571095921575989136588898
_STARTED_AT = 1_790_000_000_000


def kinesis_pages(seed: int = 30) -> list[bytes]:
    """Answers of GetRecords, by the number that its iterator is."""
    chance = random.Random(seed)
    return [_page(chance, number) for number in range(PAGES)]


def behind_the_last_page() -> bytes:
    """The answer for whoever has read all pages."""
    return json.dumps({"Records": [], "NextShardIterator": str(PAGES), "MillisBehindLatest": 0}).encode()


def _page(chance: random.Random, number: int) -> bytes:
    first = number * RECORDS_PER_PAGE
    page = {
        "Records": [_record(chance, first + index) for index in range(RECORDS_PER_PAGE)],
        "NextShardIterator": str(number + 1),
        "MillisBehindLatest": (PAGES - number - 1) * 1000,
    }
    return json.dumps(page, separators=(",", ":")).encode()


def _record(chance: random.Random, number: int) -> dict[str, object]:
    return {
        "ApproximateArrivalTimestamp": (_STARTED_AT + number) / 1000,
        "Data": b64encode(order_body(chance).encode()).decode(),
        "EncryptionType": "NONE",
        "PartitionKey": f"customer-{chance.randrange(10_000)}",
        "SequenceNumber": str(_FIRST + number * 17),
    }
