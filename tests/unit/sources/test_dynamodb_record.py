"""A record of DynamoDB Streams becomes the record that Lambda delivers, and nothing in it is decoded."""

from typing import Any

import orjson
import pytest

from broker.sources.dynamodb_record import DynamoDbRecord, dynamodb_record

ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/ExampleTable/stream/2015-06-27T00:48:05.899"
NUMBER = "4421584500000000017450439091"
DELIVERED = (
    '{"eventID":"c4ca4238a0b923820dcc509a6f75849b","eventName":"INSERT","eventVersion":"1.1",'
    '"eventSource":"aws:dynamodb","awsRegion":"us-east-1","dynamodb":{"ApproximateCreationDateTime":1733418659.0,'
    '"Keys":{"Id":{"N":"101"}},"NewImage":{"Message":{"S":"Nëw item!"},"Id":{"N":"101"},"bin":{"B":"Zm9vYmFy"},'
    '"bins":{"BS":["AA==","//8="]}},"SequenceNumber":"4421584500000000017450439091","SizeBytes":26,'
    f'"StreamViewType":"NEW_AND_OLD_IMAGES"}},"eventSourceARN":"{ARN}"}}'
)


def wire(**changes: Any) -> dict[str, Any]:
    """As AWS sends it: members by name."""
    change = {
        "ApproximateCreationDateTime": 1.733418659e9,
        "Keys": {"Id": {"N": "101"}},
        "NewImage": {
            "Message": {"S": "Nëw item!"},
            "Id": {"N": "101"},
            "bin": {"B": "Zm9vYmFy"},
            "bins": {"BS": ["AA==", "//8="]},
        },
        "SequenceNumber": NUMBER,
        "SizeBytes": 26,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    record = {
        "awsRegion": "us-east-1",
        "dynamodb": {name: value for name, value in {**change, **changes}.items() if value is not None},
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "eventVersion": "1.1",
    }
    parsed: dict[str, Any] = orjson.loads(orjson.dumps(record))
    return parsed


def made(record: dict[str, Any]) -> DynamoDbRecord:
    return dynamodb_record(record, arn=ARN, region="us-east-1")


def test_the_event_is_what_lambda_delivers_byte_for_byte() -> None:
    assert made(wire()).json.decode() == DELIVERED


def test_a_record_knows_its_number_its_instant_and_its_size() -> None:
    record = made(wire())
    assert (record.identifier, record.arrived_at) == (NUMBER, 1733418659.0)
    assert record.size_bytes == len(DELIVERED.encode()) == len(record.json)
    assert orjson.loads(record.json) == record.event
    assert repr(record) == f"<DynamoDbRecord {NUMBER}>"


@pytest.mark.parametrize("created_at", [1733418659, 1733418659.0])
def test_the_time_of_creation_has_a_decimal_point_however_it_was_sent(created_at: float) -> None:
    assert b'"ApproximateCreationDateTime":1733418659.0,' in made(wire(ApproximateCreationDateTime=created_at)).json


@pytest.mark.parametrize(
    ("name", "images", "delivered"),
    [
        ("MODIFY", {"OldImage": {"Id": {"N": "101"}}}, ["NewImage", "OldImage"]),
        ("REMOVE", {"NewImage": None, "OldImage": {"Id": {"N": "101"}}}, ["OldImage"]),
        ("MODIFY", {"NewImage": None, "StreamViewType": "KEYS_ONLY"}, []),
    ],
)
def test_the_images_are_those_of_the_view_with_the_new_one_first(name: str, images: dict, delivered: list[str]) -> None:
    event = made({**wire(**images), "eventName": name}).event
    assert event["eventName"] == name
    assert [member for member in event["dynamodb"] if member.endswith("Image")] == delivered


def test_members_come_in_lambdas_order_and_new_ones_last_whatever_the_order_of_the_wire() -> None:
    sent = wire(Newly="added")
    sent["dynamodb"] = dict(reversed(sent["dynamodb"].items()))
    record = made(sent)
    assert record.json.decode() == DELIVERED.replace('AND_OLD_IMAGES"', 'AND_OLD_IMAGES","Newly":"added"')


@pytest.mark.parametrize(
    "identity",
    [
        {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"},
        {"principalId": "dynamodb.amazonaws.com", "type": "Service"},
    ],
)
def test_who_deleted_an_expired_item_is_told_in_lower_camel_case(identity: dict[str, str]) -> None:
    record = made({**wire(), "userIdentity": identity})
    expected = '"awsRegion":"us-east-1","userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},'
    assert expected in record.json.decode()


def test_what_an_emulator_leaves_out_is_filled_in() -> None:
    sent = wire()
    for name in ("awsRegion", "eventSource", "eventVersion"):
        del sent[name]
    assert made(sent).json.decode() == DELIVERED


def test_the_key_is_that_of_the_item_whatever_the_order_of_its_parts() -> None:
    one = made(wire(Keys={"sort": {"N": "1"}, "id": {"S": "a"}}))
    other = made(wire(Keys={"id": {"S": "a"}, "sort": {"N": "1"}}))
    assert one.key == other.key == b'{"id":{"S":"a"},"sort":{"N":"1"}}'
    assert one.json != other.json


def test_what_a_handler_changes_in_its_event_is_not_seen_by_the_next_attempt() -> None:
    record = made(wire())
    record.event["dynamodb"]["NewImage"].clear()
    assert orjson.dumps(record.event).decode() == record.json.decode() == DELIVERED
    record.event["dynamodb"]["Keys"].clear()
    assert record.key == b'{"Id":{"N":"101"}}'
    assert record.event is not record.event


@pytest.mark.parametrize(
    "broken",
    [{}, {"dynamodb": None}, {"dynamodb": []}, {**wire(), "dynamodb": {}}, wire(ApproximateCreationDateTime="noon")],
)
def test_what_is_no_record_is_an_error_and_not_an_empty_record(broken: dict[str, Any]) -> None:
    with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
        made(broken)
