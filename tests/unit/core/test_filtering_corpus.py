"""Patterns and events with the answer that AWS gives, or that the matcher's documentation gives."""

import json

import pytest

from broker.core.filtering import compile_pattern

MISSING = {"other": 1}
LIST_ID = '{"d":{"l":{"id":[{"exists":true}]}}}'
DOTTED_EVENT = '{"d":{"st":{"u":["r"]}}}'
ABSENT_LEAF = '{"a":{"b":{"c":{"d":[{"exists":false}]}}}}'
EXISTS_OR_I = '{"a":[{"exists":true},{"prefix":"I"},{"suffix":"I"}]}'
NOT_ROSES = '{"N":{"h":{"S":[{"anything-but":["roses"]},{"exists":false}]}}}'
OR = '{"$or":[{"c":[{"numeric":[">",0,"<=",5]}]},{"d":[{"numeric":["<",10]}]},{"x":[{"numeric":["=",301.8]}]}]}'
NESTED_OR = f'{{"top":{OR}}}'
NUMBER_AS_TEXT = '{"N":[{"numeric":[">",100]},{"anything-but":"101"}]}'


def a(value):
    return {"a": value}


def listed(*tests):
    return json.dumps({"a": list(tests)})


def anything_but(argument):
    return listed({"anything-but": argument})


ROWS = [
    ('{"a":["x"]}', a("x"), True),
    ('{"a":["x"]}', a(["y", "x"]), True),
    ('{"a":["x"]}', a(["y"]), False),
    ('{"a":["x"]}', {"A": "x"}, False),
    ('{"a":["x","y"]}', a("y"), True),
    ('{"a":["x"],"b":["y"]}', {"a": "x", "b": "y"}, True),
    ('{"a":["x"],"b":["y"]}', {"a": "x"}, False),
    (listed(False), a(False), True),
    (listed(False), a(True), False),
    (listed(False), a(0), False),
    (listed(True), a("true"), False),
    (listed(None), a(None), True),
    (listed(None), a("null"), False),
    (listed(None), a([]), False),
    (listed(None), MISSING, False),
    (listed(""), a(""), True),
    (listed(""), a("x"), False),
    (listed(300), a(300.0), True),
    (listed(300), a(300), True),
    ('{"a":[3.0e2]}', a(300), True),
    (listed(300), a("300"), False),
    (listed(1), a(True), False),
    ('{"d":{"k":["v"]}}', {"d": '{"k":"v"}'}, False),
    (LIST_ID, {"d": {"l": [{"k": 1}, {"id": "z"}]}}, True),
    (LIST_ID, {"d": {"l": [{"k": 1}]}}, False),
    (DOTTED_EVENT, {"d": {"st.u": "r"}}, True),
    (DOTTED_EVENT, {"d": {"st.u": {"u": "r"}}}, False),
    (DOTTED_EVENT, {"d.st.u": "r"}, True),
    ('{"d":{"st.u":["r"]}}', {"d": {"st": {"u": "r"}}}, True),
    ('{"d.st.u":["r"]}', {"d": {"st": {"u": "r"}}}, True),
    ('{"d.st.u":["r"]}', {"d": {"stu": "r"}}, False),
    (listed({"exists": True}), a("x"), True),
    (listed({"exists": True}), a(None), True),
    (listed({"exists": True}), a(["x"]), True),
    (listed({"exists": True}), MISSING, False),
    (listed({"exists": True}), a({"b": 1}), False),
    (listed({"exists": True}), a([]), False),
    (ABSENT_LEAF, {"a": "broken"}, True),
    (ABSENT_LEAF, {"a": {"x": 1}}, True),
    (ABSENT_LEAF, {"a": {"b": {"c": {}}}}, True),
    (ABSENT_LEAF, {"a": {"b": {"c": {"d": 1}}}}, False),
    (ABSENT_LEAF, {"a": {"b": {"c": {"d": {"e": 1}}}}}, True),
    (EXISTS_OR_I, a("my"), True),
    (anything_but("x"), a("y"), True),
    (anything_but("x"), a("x"), False),
    (anything_but("x"), a(None), True),
    (anything_but("x"), MISSING, False),
    (anything_but("x"), a(12), True),
    (anything_but(["x", "z"]), a("y"), True),
    (anything_but(["x", "z"]), a("z"), False),
    (anything_but(["x", "z"]), a(None), True),
    (anything_but(["x", "z"]), MISSING, False),
    (anything_but({"equals-ignore-case": "x"}), a("y"), True),
    (anything_but({"equals-ignore-case": "x"}), a("X"), False),
    (anything_but({"equals-ignore-case": ["x", "Z"]}), a("y"), True),
    (anything_but({"equals-ignore-case": ["x", "Z"]}), a("z"), False),
    (anything_but({"equals-ignore-case": ["x", "Z"]}), a(None), True),
    (anything_but({"equals-ignore-case": ["x", "Z"]}), MISSING, False),
    (anything_but({"prefix": "x"}), a("yx"), True),
    (anything_but({"prefix": "x"}), a("xy"), False),
    (anything_but({"prefix": "x"}), a(12), True),
    (anything_but({"prefix": "x"}), a(None), True),
    (anything_but({"prefix": "x"}), MISSING, False),
    (anything_but({"prefix": ["x", "z"]}), a("zy"), False),
    (anything_but({"prefix": ["x", "z"]}), a("yz"), True),
    (anything_but({"suffix": "x"}), a("xy"), True),
    (anything_but({"suffix": "x"}), a("yx"), False),
    (anything_but({"suffix": ["x", "z"]}), a("yz"), False),
    (anything_but({"suffix": ["x", "z"]}), a(None), True),
    (anything_but({"suffix": ["x", "z"]}), MISSING, False),
    (anything_but({"wildcard": "*/x/*"}), a("1/y/2"), True),
    (anything_but({"wildcard": "*/x/*"}), a("1/x/2"), False),
    (anything_but({"wildcard": "*/x/*"}), a(123), True),
    (anything_but({"wildcard": "*/x/*"}), a(None), True),
    (anything_but({"wildcard": "*/x/*"}), MISSING, False),
    (anything_but({"wildcard": ["*x", "z*"]}), a("zy"), False),
    (anything_but({"wildcard": ["*x", "z*"]}), a("yz"), True),
    (anything_but({"wildcard": ""}), a("x"), True),
    (anything_but({"wildcard": ""}), a(""), False),
    (anything_but(0), a(789), True),
    (anything_but(0), a(0.0), False),
    (anything_but(0), a("0"), True),
    (anything_but([100, 200]), a(789), True),
    (anything_but([100, 200]), a(100), False),
    (anything_but([100, 200]), a(False), True),
    (NOT_ROSES, {"N": {"h": {"S": "ABCD"}}}, True),
    (NOT_ROSES, {"N": {"h": {"S": "roses"}}}, False),
    (NOT_ROSES, {"N": {"h": {"N": "1"}}}, True),
    (NOT_ROSES, {"N": {}}, True),
    (listed({"numeric": [">", 0, "<=", 5]}), a(3), True),
    (listed({"numeric": [">", 0, "<=", 5]}), a(5), True),
    (listed({"numeric": [">", 0, "<=", 5]}), a(42), False),
    (listed({"numeric": [">", 0, "<=", 5]}), a(0), False),
    (listed({"numeric": [">=", 0, "<", 5]}), a(0), True),
    (listed({"numeric": [">=", 0, "<", 5]}), a(5), False),
    (listed({"numeric": ["=", 301.8]}), a(301.8), True),
    (listed({"numeric": ["=", 301.8]}), a(301.9), False),
    (listed({"numeric": ["<=", 5]}), a(5), True),
    (listed({"numeric": [">", 100]}), a(101.0), True),
    (listed({"numeric": [">", 100]}), a("300"), False),
    (listed({"numeric": [">", 100]}), a(None), False),
    (listed({"numeric": [">", 0]}), a(True), False),
    (NUMBER_AS_TEXT, {"N": "42"}, True),
    (NUMBER_AS_TEXT, {"N": "101"}, False),
    (listed({"prefix": ""}), a(""), True),
    (listed({"prefix": ""}), a("any"), True),
    (listed({"prefix": ""}), a(1), False),
    (listed({"suffix": ""}), a("any"), True),
    (listed({"prefix": "us-"}), a("us-east-1"), True),
    (listed({"prefix": "us-"}), a("eu-us-"), False),
    (listed({"prefix": {"equals-ignore-case": "EventB"}}), a("EvEnTbridge"), True),
    (listed({"prefix": {"equals-ignore-case": "EventB"}}), a("Even"), False),
    (listed({"suffix": ".PNG"}), a("image.png"), False),
    (listed({"suffix": ".png"}), a("image.png"), True),
    (listed({"suffix": {"equals-ignore-case": ".png"}}), a("image.PNG"), True),
    (listed({"suffix": {"equals-ignore-case": ".png"}}), a("image.jpg"), False),
    (listed({"equals-ignore-case": "ec2 x"}), a("EC2 X"), True),
    (listed({"equals-ignore-case": "ec2 x"}), a(["EC2 X"]), True),
    (listed({"equals-ignore-case": "ec2 x"}), a("EC2 XY"), False),
    (listed({"equals-ignore-case": ""}), a(""), True),
    (listed({"equals-ignore-case": ""}), a("t"), False),
    (listed({"wildcard": "/Users/*/doc.txt"}), a("/Users/u/dir/dir/doc.txt"), True),
    (listed({"wildcard": "/Users/*/doc.txt"}), a("/Users/u/dir/notmatchingdoc.txt"), False),
    (listed({"wildcard": ""}), a("x"), False),
    (listed({"wildcard": ""}), a(""), True),
    (listed({"wildcard": "*:*:*:*:*:event-bus/*"}), a("arn:aws:events:eu:1:event-bus/x"), True),
    (listed({"cidr": "10.0.0.0/24"}), a("10.0.0.255"), True),
    (listed({"cidr": "10.0.0.0/24"}), a("10.0.0.256"), False),
    (listed({"cidr": "10.0.0.0/24"}), a("10.0.1.0"), False),
    (listed({"cidr": "10.0.0.0/24"}), a("123"), False),
    (listed({"cidr": "10.0.0.0/24"}), a(123), False),
    (listed({"cidr": "2001:db8:1234:1a00::/64"}), a("2001:0db8:1234:1a00:0000:0000:0000:0000"), True),
    (listed({"cidr": "2001:db8:1234:1a00::/64"}), a("2001:db8:1234:1a01::"), False),
    (OR, {"c": 0, "d": 0, "x": 901.8}, True),
    (OR, {"c": 0, "d": 10, "x": 901.8}, False),
    (OR, {"c": 5}, True),
    (NESTED_OR, {"top": {"c": 0, "d": 0, "x": 901.8}}, True),
    (NESTED_OR, {"top": {"c": 0, "d": 10, "x": 901.8}}, False),
    (NESTED_OR, {"c": 5}, False),
    ('{"l":{"x":[1],"y":[2]}}', {"l": [{"x": 1}, {"y": 2}]}, False),
    ('{"l":{"x":[1],"y":[2]}}', {"l": [{"x": 1}, {"x": 1, "y": 2}]}, True),
    ('{"a":["x"],"a":["y"]}', a("x"), False),
    ('{"a":["x"],"a":["y"]}', a("y"), True),
]


@pytest.mark.parametrize(("pattern", "event", "expected"), ROWS)
def test_pattern_answers_as_aws_does(pattern, event, expected):
    assert compile_pattern(pattern)(event) is expected
