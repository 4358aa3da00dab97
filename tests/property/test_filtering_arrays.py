"""Arrays of objects: the compiled matcher against one that lists all fields of an event and tries all choices."""

import itertools
import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker.core.filtering import compile_pattern

UNTIMED = settings(deadline=None)
ABSENT = {"exists": False}


def fields_of(value, path=(), membership=(), arrays=None):
    """All scalars of an event: path, value, and the element of each array that it lies in.

    A scalar that is itself an element lies in none: only objects and arrays hold their place.
    """
    arrays = itertools.count() if arrays is None else arrays
    if isinstance(value, dict):
        for key, below in value.items():
            yield from fields_of(below, (*path, *key.split(".")), membership, arrays)
    elif isinstance(value, list):
        array = next(arrays)
        for index, element in enumerate(value):
            inside = isinstance(element, dict | list)
            yield from fields_of(element, path, (*membership, (array, index)) if inside else membership, arrays)
    else:
        yield path, value, dict(membership)


def paths_of(pattern, path=()):
    for key, below in pattern.items():
        if isinstance(below, dict):
            yield from paths_of(below, (*path, *key.split(".")))
        else:
            yield (*path, *key.split(".")), below


def agree(one, other):
    return all(other.get(array, index) == index for array, index in one.items())


def naive_match(pattern, event):
    """One field, or absence, for each path, such that all chosen fields lie in the same elements."""
    fields = list(fields_of(event))

    def choices(path, tests):
        found = [(path, place) for at, value, place in fields if at == path and value in tests]
        return [*found, (path, None)] if ABSENT in tests else found

    return any(
        is_consistent(choice, fields) for choice in itertools.product(*itertools.starmap(choices, paths_of(pattern)))
    )


def is_consistent(choice, fields):
    chosen = {}
    for _, place in choice:
        if place is not None:
            if not agree(place, chosen):
                return False
            chosen |= place
    return not any(
        at == path and agree(there, chosen) for path, place in choice if place is None for at, _, there in fields
    )


KEYS = st.sampled_from("abc")
LEAF = st.lists(st.sampled_from([1, 2, ABSENT]), min_size=1, max_size=2, unique_by=str)


def some(children):
    return st.dictionaries(KEYS, children, min_size=1, max_size=2)


PATTERN = some(st.recursive(LEAF, some, max_leaves=4))
EVENT = some(
    st.recursive(
        st.sampled_from([1, 2, 3]),
        lambda below: st.one_of(st.lists(below, max_size=3), some(below)),
        max_leaves=10,
    )
)


@UNTIMED
@given(PATTERN, EVENT)
@example({"a": {"b": [1], "c": [ABSENT]}}, {"a": [{"b": 1, "c": 1}, {"b": 1}]})
@example({"a": {"b": [ABSENT], "c": [ABSENT]}}, {"a": [{"b": 1}, {"c": 1}]})
@example({"a": {"b": [1], "c": {"b": [ABSENT]}}}, {"a": [{"b": 1, "c": [{"b": 1}, {"c": 1}]}, {"b": 2}]})
@example({"a": {"b": [1], "c": [2]}}, {"a": [[{"b": 1}], [{"c": 2}]]})
@example({"a": {"b": {"b": [1]}, "c": {"b": [2]}}}, {"a": {"b": [{"b": 1}], "c": [{"b": 2}]}})
def test_arrays_of_objects_match_as_the_choice_of_fields_says(pattern, event):
    assert compile_pattern(json.dumps(pattern))(event) is naive_match(pattern, event)


def spell_with_dots(value, choose):
    """The same event with some nested objects written as dotted keys."""
    if isinstance(value, list):
        return [spell_with_dots(element, choose) for element in value]
    if not isinstance(value, dict):
        return value
    spelled = {}
    for key, below in value.items():
        inner = spell_with_dots(below, choose)
        if isinstance(inner, dict) and choose():
            spelled |= {f"{key}.{name}": each for name, each in inner.items()}
        else:
            spelled[key] = inner
    return spelled


@UNTIMED
@given(PATTERN, EVENT, st.data())
def test_dotted_keys_mean_what_nested_keys_mean(pattern, event, data):
    def choose():
        return data.draw(st.booleans())

    plain = compile_pattern(json.dumps(pattern))
    dotted = compile_pattern(json.dumps(spell_with_dots(pattern, choose)))
    assert dotted(spell_with_dots(event, choose)) is plain(event)
