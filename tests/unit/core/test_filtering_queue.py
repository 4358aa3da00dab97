"""Which messages of a queue pass: the table of body formats, metadata, and bodies that parsers disagree about."""

import json

import pytest

from broker.core import filtering_json
from broker.core.filtering import compile_queue_filter, compile_queue_filters
from broker.model.record import Record

MISSING = object()


def message(body, **metadata):
    event = {
        "messageId": "m-1",
        "receiptHandle": "r-1",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "MessageGroupId": "g"},
        "messageAttributes": {"kind": {"stringValue": "order", "dataType": "String"}},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:orders",
    } | metadata
    if body is MISSING:
        del event["body"]
    return Record(identifier="m-1", event=event, json=b"{}", receipt="r-1", received_at=0.0, visible_until=30.0)


def passes(pattern, body, **metadata):
    patterns = [pattern if isinstance(pattern, str) else json.dumps(pattern)]
    accepts = compile_queue_filters(patterns)
    alone = compile_queue_filter(patterns[0])
    record = message(body, **metadata)
    assert accepts(record) is alone(record)
    return accepts(record)


PLAIN = {"body": ["x"]}
OBJECT = {"body": {"k": ["v"]}}
METADATA = {"eventSource": ["aws:sqs"]}
OTHER_METADATA = {"eventSource": ["aws:kinesis"]}


@pytest.mark.parametrize(
    ("body", "pattern", "expected"),
    [
        ("x", PLAIN, True),
        ("y", PLAIN, False),
        ("x", METADATA, True),
        ("x", OTHER_METADATA, False),
        ("v", OBJECT, False),
        ("x", {"body": {"k": [{"exists": False}]}}, False),
        ('{"k":"x"}', PLAIN, False),
        ('{"k":"x"}', {"body": ['{"k":"x"}']}, False),
        ('{"k":"x"}', {"body": [{"anything-but": "y"}]}, False),
        ('{"k":"x"}', {"body": [{"exists": True}]}, False),
        ('["x"]', PLAIN, False),
        ('{"k":"v"}', METADATA, True),
        ('{"k":"v"}', OTHER_METADATA, False),
        ('{"k":"v"}', OBJECT, True),
        (' {"k" : "v"}\n', OBJECT, True),
        ('{"k":"w"}', OBJECT, False),
        ('{"k":"w"}', {"body": {"l": [{"exists": False}]}}, True),
        ('[{"k":"w"},{"k":"v"}]', OBJECT, True),
        ('{"k":"v"}', {"body.k": ["v"]}, True),
        ("", PLAIN, False),
        ("", {"body": [""]}, True),
        ("", OBJECT, False),
    ],
)
def test_body_passes_as_the_table_of_formats_says(body, pattern, expected):
    assert passes(pattern, body) is expected


@pytest.mark.parametrize(
    ("body", "test", "expected"),
    [
        ("42", 42, True),
        ("42", "42", True),
        ("42", 43, False),
        ("42", {"anything-but": "42"}, False),
        ("42", {"anything-but": 42}, False),
        ("42", {"anything-but": "43"}, True),
        ("42", {"numeric": [">", 40]}, True),
        ("42", {"prefix": "4"}, True),
        ("4.2e1", "4.2e1", True),
        ("4.2e1", 42, True),
        ('"x"', "x", True),
        ('"x"', '"x"', True),
        ('"x"', {"anything-but": "x"}, False),
        ('"x"', {"anything-but": '"x"'}, False),
        ("true", True, True),
        ("true", "true", True),
        ("true", False, False),
        ("null", None, True),
        ("null", "null", True),
        ("plain", None, False),
        ("nothing", "nothing", True),
        ("42", {"exists": True}, True),
        ("42", {"exists": False}, False),
        ("plain", {"exists": False}, False),
        ("9007199254740993.0", 9007199254740993, True),
        ("9007199254740993.0", 9007199254740992, False),
        ("NaN", "NaN", True),
    ],
)
def test_lone_value_is_seen_as_sent_and_as_what_it_stands_for(body, test, expected):
    assert passes({"body": [test]}, body) is expected


@pytest.mark.parametrize("body", ["42", '"x"', "true", "null"])
def test_lone_value_has_no_keys(body):
    assert not passes({"body": {"k": [{"exists": True}]}}, body)
    assert passes({"body": {"k": [{"exists": False}]}}, body)


def test_pattern_that_asks_for_text_and_for_keys_matches_no_text_and_no_object():
    pattern = '{"body":["x"],"body.k":["v"]}'
    assert not passes(pattern, "x")
    assert not passes(pattern, '{"k":"v"}')
    assert passes('{"body":["42"],"body.k":[{"exists":false}]}', "42")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ({"messageId": ["m-1"]}, True),
        ({"messageId": [{"prefix": "n"}]}, False),
        ({"attributes": {"MessageGroupId": ["g"]}}, True),
        ({"attributes": {"ApproximateReceiveCount": [1]}}, False),
        ({"messageAttributes": {"kind": {"stringValue": ["order"]}}}, True),
        ({"messageAttributes.kind.stringValue": ["invoice"]}, False),
        ({"eventSourceARN": [{"suffix": ":orders"}]}, True),
        ({"messageId": ["m-1"], "body": {"k": ["v"]}}, True),
        ({"messageId": ["m-2"], "body": {"k": ["v"]}}, False),
        ({"messageId": ["m-1"], "body": {"k": ["w"]}}, False),
    ],
)
def test_metadata_can_be_named_beside_the_body(pattern, expected):
    assert passes(pattern, '{"k":"v"}') is expected


ALTERNATIVES = {
    "$or": [
        {"body": ["ping"]},
        {"body": {"kind": ["order"]}},
        {"messageId": ["urgent"]},
        {"body": {"$or": [{"a": [1]}, {"b": [2]}]}, "attributes": {"MessageGroupId": ["g"]}},
    ]
}


@pytest.mark.parametrize(
    ("body", "metadata", "expected"),
    [
        ("ping", {}, True),
        ('{"kind":"order"}', {}, True),
        ("pong", {}, False),
        ('{"kind":"bill"}', {}, False),
        ("pong", {"messageId": "urgent"}, True),
        ('{"kind":"bill"}', {"messageId": "urgent"}, True),
        ('{"b":2}', {}, True),
        ('{"b":2}', {"attributes": {}}, False),
    ],
)
def test_each_alternative_meets_the_body_in_its_own_form(body, metadata, expected):
    assert passes(ALTERNATIVES, body, **metadata) is expected


def test_message_passes_when_any_pattern_matches():
    accepts = compile_queue_filters(['{"body":["ping"]}', '{"body":{"kind":["order"]}}'])
    assert accepts(message("ping"))
    assert accepts(message('{"kind":"order"}'))
    assert not accepts(message('{"kind":"bill"}'))


def test_everything_passes_where_there_are_no_patterns():
    assert compile_queue_filters([]) is None


@pytest.mark.parametrize("body", [MISSING, None, {"k": "v"}, 42])
def test_body_that_is_no_text_is_matched_as_it_stands(body):
    assert passes({"body": {"k": ["v"]}}, body) is (body == {"k": "v"})
    assert passes({"body": [{"exists": False}]}, body) is (body is MISSING or body == {"k": "v"})


def test_record_is_left_as_it_came():
    body = '{ "k" :\t9007199254740993.0, "k2": "\\ud83d\\ude00" }'
    record = message(body)
    before = dict(record.event)
    assert compile_queue_filter('{"body":{"k":[9007199254740993]}}')(record)
    assert record.event == before
    assert record.event["body"] is body


# ---- how often a body is parsed


@pytest.fixture
def readings(monkeypatch):
    """The names of the parsers in the order in which they ran."""
    names = []
    fast, exact = filtering_json.parse_fast, filtering_json.parse_strictly
    monkeypatch.setattr(filtering_json, "parse_fast", lambda text: names.append("fast") or fast(text))
    monkeypatch.setattr(filtering_json, "parse_strictly", lambda text: names.append("exact") or exact(text))
    return names


def compiled(readings, *patterns):
    accepts = compile_queue_filters(patterns)
    readings.clear()
    return accepts


def test_body_is_not_parsed_for_patterns_that_do_not_name_it(readings):
    accepts = compiled(readings, '{"messageId":["x"]}', '{"eventSource":["aws:sqs"]}')
    assert accepts(message('{"k":"v"}'))
    assert readings == []


def test_body_is_not_parsed_where_metadata_already_decide(readings):
    assert not compiled(readings, '{"messageId":["x"],"body":{"k":["v"]}}')(message('{"k":"v"}'))
    assert readings == []


def test_body_is_parsed_once_for_all_patterns(readings):
    accepts = compiled(readings, *(f'{{"body":{{"k":["{n}"]}}}}' for n in range(5)))
    assert not accepts(message('{"k":"v", "n": 1e300}'))
    assert readings == ["fast"]


def test_plain_text_is_not_parsed_at_all(readings):
    assert compiled(readings, '{"body":["hello"]}')(message("hello"))
    assert readings == []


def test_body_is_read_again_once_where_a_compared_number_may_be_rounded(readings):
    accepts = compiled(readings, '{"body":{"n":[1]}}', '{"body":{"n":[2]}}', '{"body":{"n":[9007199254740993]}}')
    assert accepts(message('{"n":9007199254740993.0}'))
    assert readings == ["fast", "exact"]


def test_body_that_the_fast_parser_refuses_is_read_by_both_once(readings):
    accepts = compiled(readings, '{"body":{"n":[1]}}', '{"body":{"n":[1e400]}}')
    assert accepts(message('{"n":1e400}'))
    assert readings == ["fast", "exact"]


# ---- bodies that the fast parser refuses or rounds


@pytest.mark.parametrize(
    ("body", "pattern", "expected"),
    [
        ('{"n":18446744073709551616}', {"n": [18446744073709551616]}, True),
        ('{"n":18446744073709551617}', {"n": [18446744073709551616]}, False),
        ('{"n":-18446744073709551617}', {"n": [-18446744073709551617]}, True),
        ('{"n":9007199254740993.0}', {"n": [{"numeric": [">", 9007199254740992]}]}, True),
        ('{"n":9007199254740993.0}', {"n": [{"anything-but": 9007199254740992}]}, True),
        ('{"n":9007199254740992.0}', {"n": [{"anything-but": 9007199254740992}]}, False),
        ('{"n":[1e300,9007199254740993.0]}', {"n": [9007199254740993]}, True),
        ('{"n":%s}' % ("8" * 5000), {"n": [{"numeric": [">", 1]}]}, True),
        ('{"n":1e400,"k":"v"}', {"k": ["v"]}, True),
        ('{"n":1e400,"k":"v"}', {"n": [{"numeric": [">", 1]}]}, True),
        ('{"n":-1e400,"k":"v"}', {"n": [{"numeric": [">", 1]}]}, False),
        ('{"n":1e9999999999999999999999,"k":"v"}', {"n": [{"numeric": [">", 1]}]}, True),
        ('{"n":1e-9999999999999999999999,"k":"v"}', {"n": [0]}, True),
        ('{"s":"\\ud800","k":"v"}', {"k": ["v"]}, True),
        ('{"s":"\\ud800","k":"v"}', {"s": [{"prefix": "x"}, {"wildcard": "*"}]}, True),
        ('{"s":"\ud800","k":"v"}', {"k": ["v"]}, True),
        ('{"\\ud800":1,"k":"v"}', {"k": ["v"]}, True),
        ('{"n":NaN,"k":"v"}', {"k": ["v"]}, False),
        ('{"n":-Infinity,"k":"v"}', {"k": ["v"]}, False),
        ('{"k":"v",}', {"k": ["v"]}, False),
        ('{"k":"v"} trailing', {"k": ["v"]}, False),
        ('\ufeff{"k":"v"}', {"k": ["v"]}, False),
        ('{"k":"v","k":"w"}', {"k": ["w"]}, True),
        ('{"k":"v","k":"w"}', {"k": ["v"]}, False),
        ('{"k":"v","deep":%s}' % ("[" * 500 + "]" * 500), {"k": ["v"]}, True),
    ],
)
def test_body_is_json_when_any_parser_says_so_and_its_numbers_are_exact(body, pattern, expected):
    assert passes({"body": pattern}, body) is expected


@pytest.mark.parametrize("body", ['{"k":"v","deep":%s}', '{"k":"v","n":1e400,"deep":%s}', "[%s]"])
def test_body_nested_beyond_every_parser_counts_as_plain_text(body):
    body %= "[" * 200_000 + "]" * 200_000
    assert not passes({"body": {"k": ["v"]}}, body)
    assert passes({"body": [{"prefix": body[:2]}]}, body)


def test_number_that_only_the_fast_parser_reaches_keeps_its_rounded_value(monkeypatch):
    def too_deep(text):
        raise RecursionError

    accepts = compile_queue_filters(['{"body":{"n":[9007199254740993]}}', '{"body":{"n":[9007199254740992]}}'])
    monkeypatch.setattr(filtering_json, "parse_strictly", too_deep)
    assert accepts(message('{"n":9007199254740993.0}'))
    assert not accepts(message('{"n":9007199254740997.0}'))
