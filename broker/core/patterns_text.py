"""Tests of strings: prefix, suffix, without case, wildcard.

Rule: strings are compared character by character as they came; without case means Unicode's simple case folding
(inferred: AWS documents only letters), which keeps lengths, so that prefixes and suffixes fold like wholes. In a
wildcard `*` is any run of characters, the empty one and slashes included.

How it works: each function takes a pattern's text and returns a test that was prepared once.

Invariants: a test never raises · a wildcard searches each character of the value once for the piece that ends there and
never goes back, so its time is linear in the value; EventBridge's complexity limit, which guards an automaton, is
therefore not enforced.

Source: Amazon EventBridge User Guide, "Comparison operators for use in event patterns"; README of aws/event-ruler
(both read November 2026).
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from broker.errors import InvalidPattern

TextTest = Callable[[str], bool]


def compile_prefix(prefix: str) -> TextTest:
    """Strings that start so; the empty prefix accepts every string."""
    return lambda text: text.startswith(prefix)


def compile_suffix(suffix: str) -> TextTest:
    """Strings that end so; the empty suffix accepts every string."""
    return lambda text: text.endswith(suffix)


def compile_prefix_ignore_case(prefix: str) -> TextTest:
    """Strings that start so, whatever the case."""
    folded = fold(prefix)
    return lambda text: fold(text).startswith(folded)


def compile_suffix_ignore_case(suffix: str) -> TextTest:
    """Strings that end so, whatever the case."""
    folded = fold(suffix)
    return lambda text: fold(text).endswith(folded)


def compile_equals_ignore_case(whole: str) -> TextTest:
    """Strings that differ in case at most."""
    folded = fold(whole)
    return lambda text: fold(text) == folded


def compile_wildcard(pattern: str) -> TextTest:
    r"""Compiles a pattern in which `*` is any run of characters, `\*` an asterisk and `\\` a backslash.

    Raises `InvalidPattern` for consecutive asterisks and for other escapes; positions count UTF-8 bytes from 1.
    """
    first, *rest = _wildcard_pieces(pattern)
    if not rest:
        return first.__eq__
    *middle, last = rest
    shortest = len(first) + len(last)

    def matches(text: str) -> bool:
        if len(text) < shortest or not text.startswith(first) or not text.endswith(last):
            return False
        position, end = len(first), len(text) - len(last)
        for piece in middle:
            found = text.find(piece, position, end)
            if found < 0:
                return False
            position = found + len(piece)
        return True

    return matches


_WILDCARD_TOKEN: Final = re.compile(r"\\[\\*]|\\|\*+|[^\\*]+")


def _wildcard_pieces(pattern: str) -> list[str]:
    """The literal pieces between the asterisks."""
    pieces = [""]
    for token in _WILDCARD_TOKEN.finditer(pattern):
        text = token.group()
        if text == "*":
            pieces.append("")
        elif text.startswith("*"):
            raise InvalidPattern(f"Consecutive wildcard characters at pos {_byte_position(pattern, token.start())}")
        elif text == "\\":
            raise InvalidPattern(f"Invalid escape character at pos {_byte_position(pattern, token.start())}")
        else:
            pieces[-1] += text.removeprefix("\\")
    return pieces


def _byte_position(pattern: str, index: int) -> int:
    return len(pattern[:index].encode("utf-8", "surrogatepass")) + 1


def fold(text: str) -> str:
    """The text without case, character by character: the length stays."""
    return text.lower() if text.isascii() else "".join(map(_fold_character, text))


@lru_cache(maxsize=4096)
def _fold_character(character: str) -> str:
    """Unicode's simple case folding: where the full one has several characters, lower case, else the character."""
    forms = (character.casefold(), character.lower(), character)
    return next(form for form in forms if len(form) == 1)
