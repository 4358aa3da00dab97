"""How patterns meet events: alternatives, arrays of objects, dotted keys, numbers, text."""

import json
from decimal import Decimal

import pytest

from broker.core.filtering import compile_pattern
from broker.core.patterns_text import compile_wildcard, fold


def matches(pattern, event):
    return compile_pattern(pattern if isinstance(pattern, str) else json.dumps(pattern))(event)


# ---- alternatives


def test_alternatives_multiply_with_what_stands_beside_them():
    pattern = {"s": ["x"], "$or": [{"a": [1]}, {"b": [2], "c": [3]}]}
    assert matches(pattern, {"s": "x", "a": 1})
    assert matches(pattern, {"s": "x", "b": 2, "c": 3})
    assert not matches(pattern, {"s": "x", "b": 2})
    assert not matches(pattern, {"s": "y", "a": 1})


def test_alternatives_nest():
    pattern = {"$or": [{"a": [1]}, {"b": [2], "$or": [{"c": [3]}, {"d": {"$or": [{"e": [4]}, {"f": [5]}]}}]}]}
    assert matches(pattern, {"b": 2, "d": {"f": 5}})
    assert matches(pattern, {"a": 1})
    assert not matches(pattern, {"b": 2, "f": 5})


def test_each_alternative_is_consistent_within_one_array_element():
    pattern = {"l": {"id": [1], "$or": [{"x": ["a"]}, {"y": ["b"]}]}}
    assert matches(pattern, {"l": [{"id": 2, "x": "a"}, {"id": 1, "y": "b"}]})
    assert not matches(pattern, {"l": [{"id": 2, "x": "a"}, {"id": 1, "y": "a"}]})


def test_or_with_the_name_of_a_match_type_is_a_key_like_any_other():
    pattern = '{"$or":[{"prefix":"x"},{"suffix":"y"}]}'
    assert matches(pattern, {"$or": "xa"})
    assert not matches(pattern, {"prefix": "x", "suffix": "y"})


def test_or_with_plain_values_is_a_key_like_any_other():
    assert matches('{"$or":["x","y"]}', {"$or": "y"})
    assert matches('{"$or":{"a":["x"]}}', {"$or": {"a": "x"}})
    assert matches('{"$or":["x",{"prefix":"y"}]}', {"$or": "yes"})


def test_the_later_spelling_of_a_path_wins_also_across_alternatives():
    assert matches('{"a":{"b":["x"]},"a.b":["y"]}', {"a": {"b": "y"}})
    assert not matches('{"a":{"b":["x"]},"a.b":["y"]}', {"a": {"b": "x"}})
    assert matches('{"a":["x"],"$or":[{"a":["y"]},{"b":["z"]}]}', {"a": "y"})
    assert not matches('{"a":["x"],"$or":[{"a":["y"]},{"b":["z"]}]}', {"a": "y", "b": "z"} | {"a": "w"})


# ---- arrays


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([{"id": 1, "tags": [{"k": "a", "v": "b"}]}], True),
        ([{"id": 1, "tags": [{"k": "a"}, {"v": "b"}]}], False),
        ([{"id": 1, "tags": [{"k": "a"}]}, {"id": 2, "tags": [{"k": "a", "v": "b"}]}], False),
        ([{"id": 2}, [{"id": 1, "tags": {"k": "a", "v": "b"}}]], True),
        ([[{"id": 1}], [{"tags": {"k": "a", "v": "b"}}]], False),
        ([], False),
    ],
)
def test_keys_below_nested_arrays_come_from_the_same_elements(items, expected):
    assert matches({"l": {"id": [1], "tags": {"k": ["a"], "v": ["b"]}}}, {"l": items}) is expected


def test_separate_arrays_choose_their_elements_separately():
    pattern = {"p": {"x": [1]}, "q": {"y": [2]}}
    assert matches(pattern, {"p": [{"x": 0}, {"x": 1}], "q": [{"y": 2}, {"y": 0}]})


def test_absence_is_asked_of_the_element_that_was_chosen():
    pattern = {"l": {"id": [1], "gone": [{"exists": False}]}}
    assert matches(pattern, {"l": [{"id": 2, "gone": 1}, {"id": 1}]})
    assert not matches(pattern, {"l": [{"id": 1, "gone": 1}, {"id": 2}]})


def test_absence_alone_is_asked_of_all_elements():
    pattern = {"l": {"gone": [{"exists": False}]}}
    assert matches(pattern, {"l": [{"id": 1}, {"id": 2}]})
    assert matches(pattern, {"l": []})
    assert not matches(pattern, {"l": [{"gone": 1}, {"id": 2}]})


def test_absence_in_an_inner_array_is_asked_of_the_chosen_outer_element():
    pattern = {"l": {"id": [1], "tags": {"gone": [{"exists": False}]}}}
    assert matches(pattern, {"l": [{"id": 2, "tags": [{"gone": 1}]}, {"id": 1, "tags": [{"k": 1}]}]})
    assert not matches(pattern, {"l": [{"id": 2}, {"id": 1, "tags": [{"k": 1}, {"gone": 1}]}]})


def test_array_may_mix_values_and_objects():
    pattern = '{"a":["x"],"a.b":["y"]}'
    assert matches(pattern, {"a": ["x", {"b": "y"}]})
    assert not matches(pattern, {"a": ["x"]})
    assert not matches(pattern, {"a": {"b": "y"}})


def test_absence_of_a_value_and_of_keys_below_is_asked_of_all_elements():
    pattern = '{"l.a":[{"exists":false}],"l.a.b":[{"exists":false}]}'
    assert matches(pattern, {"l": [{"a": {"c": 1}}, {}]})
    assert not matches(pattern, {"l": [{"a": {"b": 1}}, {}]})
    assert not matches(pattern, {"l": [{"a": 1}, {}]})


def test_values_in_nested_arrays_count():
    assert matches({"a": ["x"]}, {"a": [["y", ["x"]]]})


# ---- dotted keys


def test_dotted_and_nested_keys_of_an_event_are_merged():
    pattern = {"a": {"b": ["x"], "c": ["y"]}}
    assert matches(pattern, {"a.b": "x", "a": {"c": "y"}})
    assert matches(pattern, {"a.b": "x", "a.c": "y"})
    assert not matches(pattern, {"a.b": "x", "ac": "y"})


def test_two_spellings_of_one_path_hold_the_values_of_both():
    assert matches({"a": {"b": ["x"]}}, {"a.b": "x", "a": {"b": "y"}})
    assert matches({"a": {"b": ["x"]}}, {"a.b": "y", "a": {"b": "x"}})
    assert not matches({"a": {"b": [{"exists": False}]}}, {"a.b": "x", "a": {}})


def test_an_array_beside_another_spelling_takes_its_values_as_elements():
    pattern = {"a": {"b": ["x"], "c": ["y"]}}
    assert matches(pattern, {"a.z": 1, "a": [{"b": "x", "c": "y"}]})
    assert not matches(pattern, {"a.b": "x", "a": [{"c": "y"}]})


def test_empty_parts_of_dotted_keys_are_keys():
    assert matches('{"a.":["x"]}', {"a": {"": "x"}})
    assert matches('{"":{"a":["x"]}}', {".a": "x"})


# ---- numbers


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("[9007199254740993]", 9007199254740993, True),
        ("[9007199254740993]", 9007199254740992, False),
        ("[9007199254740993.0]", 9007199254740993, True),
        ("[18446744073709551617]", 18446744073709551616, False),
        ("[1e400]", Decimal("1e400"), True),
        ("[1e400]", Decimal("2e400"), False),
        ("[-1e400]", Decimal("1e400"), False),
        ("[9007199254740992]", Decimal("9007199254740991.5"), False),
        ("[0.1]", 0.1, True),
        ("[0.1]", Decimal("0.1"), True),
        ("[-0.0]", 0, True),
        ("[1e-400]", 0, True),
        ('[{"numeric":["<",1e400]}]', 10**300, True),
        ('[{"numeric":["<",1e400]}]', Decimal("1e401"), False),
        ('[{"numeric":["<",1e99999999999999999999]}]', Decimal("1e401"), True),
        ('[{"numeric":[">",-1e99999999999999999999]}]', -5, True),
        ('[{"numeric":[">",1e499999999999999999]}]', 5, False),
        ('[{"anything-but":9007199254740993}]', 9007199254740992, True),
        ('[{"anything-but":[9007199254740993]}]', 9007199254740993, False),
        ("[" + "7" * 5000 + "]", Decimal("7" * 5000), True),
        ("[" + "7" * 5000 + "]", 7, False),
    ],
)
def test_numbers_compare_exactly(pattern, value, expected):
    assert matches(f'{{"a":{pattern}}}', {"a": value}) is expected


# ---- text


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("a*c", "abc", True),
        ("a*c", "ac", True),
        ("a*a", "a", False),
        ("*", "", True),
        ("*b*", "abc", True),
        ("*b*c*", "acb", False),
        ("ab*ba", "aba", False),
        ("a*bc*bc", "abcbc", True),
        ("a*bc*bc", "abc", False),
        (r"a\*c", "a*c", True),
        (r"a\*c", "abc", False),
        (r"a\\*", "a\\x", True),
        (r"\**", "*rest", True),
        (r"*\**", "a*b", True),
        ("abc", "abcd", False),
    ],
)
def test_wildcard_matches_any_run_and_escaped_characters(pattern, text, expected):
    assert compile_wildcard(pattern)(text) is expected


class CountingText(str):
    """Counts the characters that searches look at."""

    __slots__ = ("looked_at",)

    def find(self, piece, start, end):
        found = super().find(piece, start, end)
        self.looked_at += (end if found < 0 else found + len(piece)) - start
        return found


@pytest.mark.parametrize("ending", ["", "b"])
def test_wildcard_looks_at_each_character_once(ending):
    text = CountingText("a" * 50_000 + ending)
    text.looked_at = 0
    compile_wildcard("*a" * 1000 + "*ab*")(text)
    assert 0 < text.looked_at <= len(text)


@pytest.mark.parametrize(
    ("one", "other"), [("Straße", "STRAßE"), ("ΑΣΑΣ", "ασας"), ("ẞ", "ß"), ("\u212a", "k"), ("ÉTÉ", "été"), ("ⱥ", "Ⱥ")]
)
def test_case_is_folded_character_by_character(one, other):
    assert fold(one) == fold(other)
    assert len(fold(one)) == len(one)


@pytest.mark.parametrize(("one", "other"), [("ß", "ss"), ("İ", "i"), ("e", "é")])
def test_folding_keeps_what_differs_in_more_than_case(one, other):
    assert fold(one) != fold(other)


def test_block_ignores_the_bits_below_its_mask_and_long_text():
    accepts = compile_pattern('{"a":[{"cidr":"10.0.0.7/24"}]}')
    assert accepts({"a": "10.0.0.1"})
    assert not accepts({"a": "10.0.0.1" + " " * 40})
    assert not accepts({"a": "::1"})


# ---- bounds


def test_event_may_be_nested_deeper_than_the_stack():
    deep = "x"
    for _ in range(100_000):
        deep = [deep]
    assert matches('{"a":["x"]}', {"a": deep})
    assert not matches('{"a":{"b":["x"]}}', {"a": deep})
