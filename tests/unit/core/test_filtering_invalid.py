"""Every pattern that AWS refuses is refused, with AWS's message and EventBridge's finer reason."""

import json

import pytest

from broker.core.filtering import compile_pattern, compile_queue_filter, compile_queue_filters
from broker.errors import InvalidPattern

ANYTHING_BUT = "Value of anything-but must be an array or single string/number value."
ANYTHING_BUT_LIST = "Inside anything but list, start|null|boolean is not supported."
MIXED = "Inside anything but list, either all values are number or string, mixed type is not supported"
IGNORE_CASE_LIST = "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
NEGATED_TEXT = "prefix/suffix match pattern must be a string"
NO_NULL = "Null prefix/suffix not allowed"
IGNORE_CASE = "equals-ignore-case match pattern must be a string"
SINGLE = "Only one key allowed in match expression"
WILDCARD = "wildcard match pattern must be a string"
TOO_MANY = "Too many elements in numeric expression"

TEXTS = [
    ("null", "Filter is not an object"),
    ('"just a string"', "Filter is not an object"),
    ("[]", "Filter is not an object"),
    ("12", "Filter is not an object"),
    ('{"a":"x"}', '"a" must be an object or an array'),
    ('{"a":42}', '"a" must be an object or an array'),
    ('{"a":{"b":null}}', '"b" must be an object or an array'),
    ('{"eventSource":"aws:sqs"}', '"eventSource" must be an object or an array'),
    ('{"body":"x"}', '"body" must be an object or an array'),
    ('{"eventSource":[]}', "Empty arrays are not allowed"),
    ("{}", "Empty objects are not allowed"),
    ('{"body":{}}', "Empty objects are not allowed"),
    ('{"$or":[{},{"a":[1]}]}', "Empty objects are not allowed"),
    ('{"$or":"x"}', '"$or" must be an object or an array'),
    ('{"$or":[]}', "Empty arrays are not allowed"),
    ('{"$or":[{"a":["x"]}]}', "Unrecognized match type a"),
    ('{"$or":[{"prefix":"x"},{"b":["x"]}]}', "Unrecognized match type b"),
]

ITEMS = [
    ({"EXISTS": True}, "Unrecognized match type EXISTS"),
    ({"NUMERIC": ["=", 1]}, "Unrecognized match type NUMERIC"),
    ({}, "Match expression name not found"),
    (["x"], "Match value must be String, number, true, false, or null"),
    ({"prefix": "x", "suffix": "y"}, SINGLE),
    ({"numeric": [">", 0, ">", 0]}, "Bad numeric range operator: >"),
    ({"numeric": [">", 0, "<"]}, "Value of < must be numeric"),
    ({"numeric": [">", 0, "<", "5"]}, "Value of < must be numeric"),
    ({"numeric": [">", 0, 5, 5]}, "Bad value in numeric range: 5"),
    ({"numeric": [">", 0, "<", 5, 6]}, "Too many terms in numeric range expression"),
    ({"numeric": [">", 5, "<", 0]}, "Bottom must be less than top"),
    ({"numeric": ["<", 5, ">", 0]}, TOO_MANY),
    ({"numeric": ["=", 5, "<", 9]}, TOO_MANY),
    ({"numeric": ["=", "5"]}, "Value of equals must be numeric"),
    ({"numeric": ["=", True]}, "Value of equals must be numeric"),
    ({"numeric": [">="]}, "Value of >= must be numeric"),
    ({"numeric": ["!=", 5]}, "Unrecognized numeric range operator: !="),
    ({"numeric": [5]}, "Invalid member in numeric match: 5"),
    ({"numeric": []}, "Invalid member in numeric match: ]"),
    ({"numeric": 10}, "Value of numeric must be an array."),
    ({"prefix": 123}, "prefix match pattern must be a string"),
    ({"prefix": ["x"]}, "prefix match pattern must be a string"),
    ({"prefix": {}}, "Prefix expression name not found"),
    ({"prefix": {"suffix": "x"}}, "Unsupported prefix pattern: suffix"),
    ({"prefix": {"equals-ignore-case": 1}}, IGNORE_CASE),
    ({"prefix": {"equals-ignore-case": "x", "prefix": "y"}}, SINGLE),
    ({"suffix": 123}, "suffix match pattern must be a string"),
    ({"suffix": ["x"]}, "suffix match pattern must be a string"),
    ({"suffix": {}}, "Suffix expression name not found"),
    ({"suffix": {"prefix": "x"}}, "Unsupported suffix pattern: prefix"),
    ({"equals-ignore-case": ["x"]}, IGNORE_CASE),
    ({"equals-ignore-case": {"prefix": "x"}}, IGNORE_CASE),
    ({"wildcard": 123}, WILDCARD),
    ({"wildcard": ["x"]}, WILDCARD),
    ({"anything-but": {"wildcard": 123}}, WILDCARD),
    ({"anything-but": {"wildcard": ["x", 123]}}, WILDCARD),
    ({"wildcard": "arn:aws:events:us-east-1:**:x"}, "Consecutive wildcard characters at pos 26"),
    ({"wildcard": "a**b"}, "Consecutive wildcard characters at pos 2"),
    ({"wildcard": "é***"}, "Consecutive wildcard characters at pos 3"),
    ({"anything-but": {"wildcard": "a**"}}, "Consecutive wildcard characters at pos 2"),
    ({"wildcard": "a\\b"}, "Invalid escape character at pos 2"),
    ({"wildcard": "a\\"}, "Invalid escape character at pos 2"),
    ({"cidr": ["x"]}, "prefix match pattern must be a string"),
    ({"cidr": 8}, "prefix match pattern must be a string"),
    ({"cidr": "bad-filter"}, "Malformed CIDR, one '/' required"),
    ({"cidr": "10.0.0.0/"}, "Malformed CIDR, one '/' required"),
    ({"cidr": "10.0.0.0/8/8"}, "Malformed CIDR, one '/' required"),
    ({"cidr": "bad-/64filter"}, "Malformed CIDR, mask bits must be an integer"),
    ({"cidr": "10.0.0.0/-1"}, "Malformed CIDR, mask bits must not be negative"),
    ({"cidr": "xx.11.xx/8"}, "Nonstandard IP address: xx.11.xx"),
    ({"cidr": "300.0.0.0/8"}, "Invalid IP address: 300.0.0.0"),
    ({"cidr": "10.0.0.0/32"}, "IPv4 mask bits must be < 32"),
    ({"cidr": "2001:db8::/128"}, "IPv6 mask bits must be < 128"),
    ({"exists": "true"}, "exists match pattern must be either true or false."),
    ({"exists": 1}, "exists match pattern must be either true or false."),
    ({"anything-but": None}, ANYTHING_BUT),
    ({"anything-but": True}, ANYTHING_BUT),
    ({"anything-but": {"prefix": {"equals-ignore-case": "x"}}}, ANYTHING_BUT),
    ({"anything-but": {"suffix": {"equals-ignore-case": "x"}}}, ANYTHING_BUT),
    ({"anything-but": {"prefix": None}}, ANYTHING_BUT),
    ({"anything-but": {}}, "Anything-But expression name not found"),
    ({"anything-but": {"numeric": ["=", 1]}}, "Unsupported anything-but pattern: numeric"),
    ({"anything-but": {"prefix": "x", "suffix": "y"}}, SINGLE),
    ({"anything-but": {"prefix": []}}, "Empty arrays are not allowed"),
    ({"anything-but": ["x", None]}, ANYTHING_BUT_LIST),
    ({"anything-but": ["x", False]}, ANYTHING_BUT_LIST),
    ({"anything-but": [["x"]]}, ANYTHING_BUT_LIST),
    ({"anything-but": ["x", 1]}, MIXED),
    ({"anything-but": []}, MIXED),
    ({"anything-but": {"equals-ignore-case": 123}}, IGNORE_CASE_LIST),
    ({"anything-but": {"equals-ignore-case": [123]}}, IGNORE_CASE_LIST),
    ({"anything-but": {"prefix": 123}}, NEGATED_TEXT),
    ({"anything-but": {"suffix": 123}}, NEGATED_TEXT),
    ({"anything-but": {"prefix": ["x", None]}}, NEGATED_TEXT),
    ({"anything-but": {"suffix": ["x", 1]}}, NEGATED_TEXT),
    ({"anything-but": {"prefix": ""}}, NO_NULL),
    ({"anything-but": {"suffix": ""}}, NO_NULL),
    ({"anything-but": {"prefix": ["x", ""]}}, NO_NULL),
]


def reason_of(text):
    with pytest.raises(InvalidPattern) as caught:
        compile_pattern(text)
    assert str(caught.value) == "Invalid filter pattern definition."
    return caught.value.reason


@pytest.mark.parametrize(("text", "reason"), TEXTS)
def test_pattern_of_wrong_shape_is_refused(text, reason):
    assert reason_of(text) == reason


@pytest.mark.parametrize(("item", "reason"), ITEMS)
def test_match_expression_outside_the_grammar_is_refused(item, reason):
    assert reason_of(json.dumps({"a": [item]})) == reason


@pytest.mark.parametrize(("item", "reason"), ITEMS)
def test_match_expression_is_checked_wherever_it_stands(item, reason):
    assert reason_of(json.dumps({"$or": [{"x": [1]}, {"body": {"k": ["fine", item]}}]})) == reason


@pytest.mark.parametrize(
    "text",
    ["", "x", '[{"eventName": ["INSERT"=123}]', '{"a":[NaN]}', '{"a":[-Infinity]}', '{"a":["x"]} {}', "{'a':['x']}"],
)
def test_text_that_is_not_strictly_json_is_refused(text):
    assert reason_of(text).startswith("Filter is not JSON: ")


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 5000 + "[1]" + "}" * 5000,
        '{"a":' * 101 + "[1]" + "}" * 101,
        json.dumps({".".join("a" * 101): [1]}),
        '{"$or":[' * 101 + '{"a":[1]},{"b":[1]}' + ']},{"c":[1]}' * 100 + "]}",
    ],
    ids=["parser", "nested", "dotted", "or"],
)
def test_pattern_that_is_too_deep_is_refused(text):
    assert reason_of(text) == "Rule is too complex - more than 100 levels"


def test_pattern_of_a_hundred_levels_is_taken():
    assert compile_pattern(json.dumps({".".join("a" * 100): [1]}))({".".join("a" * 100): 1})


def test_alternatives_that_multiply_beyond_a_thousand_are_refused():
    ten = [{str(n): ["x"]} for n in range(10)]
    text = json.dumps({"p": {"$or": ten}, "q": {"$or": ten}, "r": {"$or": ten}})
    assert compile_pattern(text)({"p": {"9": "x"}, "q": {"0": "x"}, "r": {"5": "x"}})
    text = json.dumps({"p": {"$or": ten}, "q": {"$or": ten}, "r": {"$or": [*ten, {"10": ["x"]}]}})
    assert reason_of(text) == "Rule is too complex - $or makes more than 1000 combinations"


@pytest.mark.parametrize("compiled", [compile_queue_filter, lambda text: compile_queue_filters(['{"a":[1]}', text])])
def test_queue_filters_refuse_what_patterns_refuse(compiled):
    with pytest.raises(InvalidPattern):
        compiled('{"body":"x"}')
