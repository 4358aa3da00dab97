import orjson

from broker.core.payload import queue_event
from broker.model.batch import Batch, BatchTrigger
from broker.model.record import Record


def batch(*bodies: str) -> Batch:
    events = [{"messageId": str(number), "body": body} for number, body in enumerate(bodies)]
    made = [
        Record(
            identifier=event["messageId"],
            event=event,
            json=orjson.dumps(event),
            receipt="r",
            received_at=0.0,
            visible_until=30.0,
        )
        for event in events
    ]
    return Batch(number=1, records=tuple(made), trigger=BatchTrigger.AVAILABLE)


def test_the_event_has_the_records_in_the_order_of_the_batch():
    assert [record["body"] for record in queue_event(batch("b", "a", "c")).value["Records"]] == ["b", "a", "c"]


def test_the_bytes_say_what_the_value_says():
    payload = queue_event(batch("one", 'with "quotes" and ünïcode', '{"nested": [1]}'))

    assert orjson.loads(payload.bytes) == payload.value


def test_the_bytes_are_as_many_as_the_batch_counted():
    cut = batch("one", "ünïcode", "three")

    assert len(queue_event(cut).bytes) == cut.size_bytes


def test_each_form_is_made_once():
    payload = queue_event(batch("one"))

    assert payload.value is payload.value
    assert payload.bytes is payload.bytes
