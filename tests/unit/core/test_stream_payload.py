"""The event of a shard's batch: its bytes are its value, and its size is known before it is built."""

import json

import orjson
import pytest

from broker.core.lanes import event_size, fitting_count
from broker.core.payload import keys_bytes, stream_event
from tests.unit.core.shard_talk import entries

WINDOW = {
    "window": {"start": "2020-12-09T07:04:00Z", "end": "2020-12-09T07:06:00Z"},
    "state": orjson.Fragment(b'{"1":282,"2":715,"name":"\xc3\xa9"}'),
    "shardId": "shard-0",
    "eventSourceARN": "arn",
    "isFinalInvokeForWindow": False,
    "isWindowTerminatedEarly": False,
}


@pytest.mark.parametrize("keys", [None, WINDOW], ids=["plain", "window"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_bytes_of_an_event_are_its_value(keys, count):
    records = entries(*range(count), size=40)
    payload = stream_event(records, keys)

    assert json.loads(payload.bytes) == payload.value
    assert payload.value["Records"] == [record.event for record in records]
    assert len(payload.bytes) == event_size(records) + keys_bytes(keys)


def test_the_keys_of_a_window_follow_the_records_in_awss_order():
    payload = stream_event(entries(1), WINDOW)

    assert list(json.loads(payload.bytes)) == ["Records", *WINDOW]
    assert list(payload.value) == ["Records", *WINDOW]
    assert payload.value["state"] == {"1": 282, "2": 715, "name": "é"}


def test_a_handler_that_changes_its_event_changes_no_other():
    keys = dict(WINDOW)
    one, other = stream_event((), keys), stream_event((), keys)
    one.value["state"].clear()

    assert other.value["state"] != {}


def test_as_many_records_fit_as_the_event_has_room_for_and_one_in_any_case():
    records = entries(1, 2, 3, size=100)

    assert [fitting_count(records, limit) for limit in (10, 114, 214, 215, 315, 316)] == [1, 1, 1, 2, 2, 3]
