"""Filters over generated JSON: parsers agree, alternatives distribute, wildcards match as their meaning says."""

import itertools
import json
import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from broker.core.filtering import compile_pattern, compile_queue_filter
from broker.core.filtering_json import NOT_JSON, Document, number_of, parse_fast, read_exactly
from broker.core.patterns_text import compile_wildcard
from broker.errors import InvalidPattern
from broker.model.record import Record

UNTIMED = settings(deadline=None)

# ---- JSON as text

DIGITS = st.text("0123456789", min_size=1, max_size=25)
BORDERS = st.sampled_from([2**53, 2**63, 2**64, 10**16, 10**22])
INTEGERS = st.one_of(st.integers(), st.builds(lambda border, step: border + step, BORDERS, st.integers(-3, 3)))
EXPONENTS = st.one_of(st.integers(-20, 20), st.sampled_from([-400, -324, 308, 309, 400, 5000, 10**21, -(10**21)]))
INTEGER_LITERALS = st.builds(lambda sign, number: f"{sign}{abs(number)}", st.sampled_from(["", "-"]), INTEGERS)
LITERALS = st.one_of(
    INTEGER_LITERALS,
    st.builds("{}.{}".format, INTEGER_LITERALS, DIGITS),
    st.builds("{}{}{}".format, INTEGER_LITERALS, st.sampled_from("eE"), EXPONENTS),
    st.builds("{}.{}e{:+d}".format, INTEGER_LITERALS, DIGITS, EXPONENTS),
)
ESCAPES = st.sampled_from(["\\ud83d", "\\ude00", "\\ud83d\\ude00", "\\u0041", "\\n", "\\\\", '\\"', "\\/", "\\u0000"])
CHARACTERS = st.characters(exclude_categories=["Cc"], exclude_characters='"\\')
STRINGS = st.lists(st.one_of(CHARACTERS, ESCAPES), max_size=4).map(lambda parts: f'"{"".join(parts)}"')
SPACE = st.text(" \t\r\n", max_size=2)
KEYS = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"a.b"'])
SCALARS = st.one_of(LITERALS, STRINGS, st.sampled_from(["true", "false", "null"]))


def spaced(parts, space, opening, closing):
    return opening + space + f"{space},{space}".join(parts) + space + closing


def documents(children):
    members = st.builds("{}{}:{}{}".format, KEYS, SPACE, SPACE, children)
    return st.one_of(
        st.builds(spaced, st.lists(children, max_size=3), SPACE, st.just("["), st.just("]")),
        st.builds(spaced, st.lists(members, max_size=3), SPACE, st.just("{"), st.just("}")),
    )


JSON_TEXTS = st.recursive(SCALARS, documents, max_leaves=8)
DAMAGED = st.builds(
    lambda text, at, piece: text[: at % (len(text) + 1)] + piece + text[at % (len(text) + 1) :],
    JSON_TEXTS,
    st.integers(0, 200),
    st.sampled_from([",", "}", '"', "NaN", "-", ".", "\ufeff", "\x00", "e", "0", "\ud800"]),
)


def message(body):
    return Record(identifier="m", event={"body": body}, json=b"", receipt="r", received_at=0.0, visible_until=1.0)


def fast_or_none(text):
    try:
        return parse_fast(text)
    except ValueError:
        return NOT_JSON


def same(one, other):
    """Whether two readings differ only in how numbers were rounded."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if number_of(one) is not None and number_of(other) is not None:
        return float(str(one)) == float(str(other))
    return type(one) is type(other) and one == other


@UNTIMED
@given(st.one_of(JSON_TEXTS, DAMAGED))
@example("1e400")
@example('"\\ud800"')
@example("[NaN]")
@example("18446744073709551617")
def test_text_is_json_when_either_parser_says_so(text):
    fast, exact = fast_or_none(text), read_exactly(text)
    value = Document(text).value
    if fast is not NOT_JSON:
        assert same(value, fast)
        assert same(value, exact)
    else:
        assert value == exact


@UNTIMED
@given(JSON_TEXTS)
def test_every_json_text_is_read(text):
    assert Document(text).value is not NOT_JSON


def meaning(literal):
    """What a number means when it is compared: doubles below 2^53 and exact from there on; None beyond all bounds."""
    if re.fullmatch(r"-?[0-9]+", literal):
        return Fraction(int(literal))
    rounded = float(literal)
    if abs(rounded) < 2**53:
        return Fraction(rounded)
    exponent = literal.lower().partition("e")[2]
    return None if abs(int(exponent or 0)) > 10**6 else Fraction(Decimal(literal))


@UNTIMED
@given(LITERALS, LITERALS)
@example("9007199254740993.0", "9007199254740993")
@example("9007199254740993.0", "9007199254740992")
@example("0.1", "0.1000000000000000055511151231257827")
@example("9007199254740991.5", "9007199254740992")
@example("1e400", "10e399")
@example("18446744073709551616", "18446744073709551615")
def test_numbers_of_bodies_compare_by_their_meaning(body, bound):
    number, limit = meaning(body), meaning(bound)
    assume(number is not None and limit is not None)
    for sign, holds in [("=", number == limit), ("<", number < limit), (">=", number >= limit)]:
        pattern = f'{{"body":{{"n":[{{"numeric":["{sign}",{bound}]}}]}}}}'
        assert compile_queue_filter(pattern)(message(f'{{"n":{body}}}')) is holds
    assert compile_queue_filter(f'{{"body":{{"n":[{bound}]}}}}')(message(f'{{"n":[{body}]}}')) is (number == limit)
    negated = compile_queue_filter(f'{{"body":{{"n":[{{"anything-but":[{bound}]}}]}}}}')
    assert negated(message(f'{{"n":{body}}}')) is (number != limit)


# ---- patterns

KEY = st.sampled_from(["a", "b", "a.b", "$or", "body"])
TEXT = st.text("ab*.", max_size=4).map(lambda text: text.replace("**", "*").replace("**", "*"))
ITEM = st.one_of(
    TEXT,
    st.integers(-2, 2),
    st.sampled_from([None, True, False]),
    st.builds(lambda value: {"exists": value}, st.booleans()),
    st.builds(lambda name, text: {name: text}, st.sampled_from(["prefix", "suffix", "wildcard"]), TEXT),
    st.builds(lambda text: {"anything-but": text}, TEXT),
    st.builds(lambda number: {"numeric": [">", number]}, st.integers(-2, 2)),
)
LEAF = st.lists(ITEM, min_size=1, max_size=2)


def objects(children):
    plain = st.dictionaries(KEY.filter(lambda key: key != "$or"), children, min_size=1, max_size=2)
    alternatives = st.lists(plain, min_size=2, max_size=3).map(lambda items: {"$or": items})
    return st.one_of(plain, alternatives, st.builds(lambda one, other: one | other, plain, alternatives))


PATTERN = objects(st.recursive(LEAF, objects, max_leaves=4))
ANY_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=3)),
    lambda children: st.one_of(
        st.lists(children, max_size=3),
        st.dictionaries(
            st.sampled_from(["a", "$or", "prefix", "numeric", "anything-but", "cidr", "exists", ">", "wildcard"]),
            children,
            max_size=2,
        ),
    ),
    max_leaves=8,
)


@UNTIMED
@given(st.one_of(ANY_JSON.map(json.dumps), st.text(max_size=20)))
@example('{"a":[{"numeric":["=",1e99999999999999999999]}]}')
@example('{"a":[{"wildcard":"\\ud800**"}]}')
def test_any_text_compiles_or_is_an_invalid_pattern(text):
    try:
        accepts = compile_queue_filter(text)
    except InvalidPattern as error:
        accepts = None
        reason = error.reason
    assert reason if accepts is None else accepts(message('{"a":[1]}')) in {True, False}


@UNTIMED
@given(PATTERN, st.one_of(JSON_TEXTS, DAMAGED))
def test_filters_answer_for_any_body(pattern, body):
    assert compile_queue_filter(json.dumps(pattern))(message(body)) in {True, False}


@UNTIMED
@given(PATTERN, JSON_TEXTS)
def test_body_below_its_key_matches_as_an_exactly_read_event(pattern, body):
    text = json.dumps({"body": pattern})
    expected = compile_pattern(json.dumps(pattern))(read_exactly(body))
    assert compile_queue_filter(text)(message(body)) is expected


@UNTIMED
@given(st.dictionaries(st.sampled_from("cd"), LEAF, max_size=1), st.lists(PATTERN, min_size=2, max_size=3), JSON_TEXTS)
def test_alternatives_match_when_one_of_them_matches(beside, alternatives, body):
    event = read_exactly(body)
    whole = compile_pattern(json.dumps({**beside, "$or": alternatives}))
    parts = [compile_pattern(json.dumps({**beside, **alternative})) for alternative in alternatives]
    assert whole(event) is any(part(event) for part in parts)


# ---- wildcards


@UNTIMED
@given(st.lists(st.sampled_from(["a", "b", "*", r"\*", r"\\"]), max_size=8), st.text("ab*\\", max_size=12))
def test_wildcard_matches_as_the_regular_expression_of_its_meaning(tokens, text):
    pattern = "".join(tokens)
    doubled = any(one == other == "*" for one, other in itertools.pairwise(tokens))
    if doubled:
        with pytest.raises(InvalidPattern):
            compile_wildcard(pattern)
        return
    expression = "".join(".*" if token == "*" else re.escape(token.removeprefix("\\") or token) for token in tokens)
    assert compile_wildcard(pattern)(text) is bool(re.fullmatch(expression, text, re.DOTALL))
