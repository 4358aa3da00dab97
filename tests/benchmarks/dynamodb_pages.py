"""Canned answers of DynamoDB Streams: pages of a thousand records of 1 KB that all differ."""

import json
import random

RECORDS_PER_PAGE = 1_000
_RECORD_BYTES = 1_024
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def dynamodb_pages(count: int, seed: int = 20) -> list[bytes]:
    """Answers of GetRecords."""
    chance = random.Random(seed)
    return [_page(chance, number * RECORDS_PER_PAGE) for number in range(count)]


def _page(chance: random.Random, first: int) -> bytes:
    records = [_record(chance, first + index) for index in range(RECORDS_PER_PAGE)]
    answer = {"Records": records, "NextShardIterator": _letters(chance, 300)}
    return json.dumps(answer, separators=(",", ":")).encode()


def _record(chance: random.Random, number: int) -> dict[str, object]:
    """An order that was put: nine attributes, two of them with parts."""
    image = {
        "customer": {"S": _letters(chance, 24)},
        "id": {"S": _letters(chance, 24)},
        "kind": {"S": chance.choice(["order", "refund"])},
        "paid": {"BOOL": chance.random() < 0.5},
        "placed": {"N": str(1_790_000_000 + number)},
        "total": {"N": f"{chance.random() * 1000:.2f}"},
        "tags": {"SS": [_letters(chance, 6), _letters(chance, 6)]},
        "address": {"M": {name: {"S": _letters(chance, 10)} for name in ("street", "city", "zip")}},
    }
    record = {
        "awsRegion": "eu-west-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_790_000_000.0 + number // 100,
            "Keys": {"id": image["id"]},
            "NewImage": image,
            "SequenceNumber": str(4_421_584_500_000_000_017_450_439_091 + number),
            "SizeBytes": 700,
            "StreamViewType": "NEW_IMAGE",
        },
        "eventID": f"{chance.getrandbits(128):032x}",
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "eventVersion": "1.1",
    }
    image["note"] = {"S": _letters(chance, _RECORD_BYTES - len(json.dumps(record, separators=(",", ":"))) - 18)}
    return record


def _letters(chance: random.Random, count: int) -> str:
    return "".join(chance.choices(_LETTERS, k=count))
