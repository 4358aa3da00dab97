"""What is wrong with a value that a stranger wrote, in the stranger's words: no library's jargon, all at once.

Ranges and enumerations of AWS's members have the text of AWS's ValidationException, everything else a sentence that
says what is needed. A misspelt key gets a suggestion.
"""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.alias_generators import to_pascal
from pydantic.fields import FieldInfo

from broker.config.document import Document, Location, Place, path_of
from broker.errors import Mistake
from broker.model.mapping import MAPPING_MODELS
from broker.model.reference import EventSourceKind
from broker.model.written import Written

Detail = Mapping[str, Any]
"""One entry of `ValidationError.errors()`."""

_KEYS_WITH_VALUES = "must be keys with values"
_NEEDED = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "is_instance_of": "must be the path of a folder",
    "tuple_type": "must be a list",
    "dict_type": _KEYS_WITH_VALUES,
    "model_type": _KEYS_WITH_VALUES,
}
_NOT_NULL = "Member must not be null."
_TEXTS_OF_THE_MISSING = {
    "EventSourceArn": "Unrecognized event source.",
    "StartingPosition": (
        f"1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: {_NOT_NULL}"
    ),
}
_MAPPINGS = "EventSourceMappings"
_SHOWN_CHARACTERS = 60


def mistakes_of(error: ValidationError, model: type[Written], document: Document) -> list[tuple[Location, str]]:
    """Each mistake's location and sentence; `document` knows how scalars were written."""
    return [_mistake(detail, model, document) for detail in error.errors(include_url=False)]


def in_order(mistakes: list[tuple[Location, str]], document: Document) -> list[Mistake]:
    """With paths and places, in the order of the file, each once."""
    placed = [(document.place_of(location) or Place(name=""), location, message) for location, message in mistakes]
    placed.sort(key=lambda each: each[0])
    found = [Mistake(message=message, path=path_of(location), place=str(place)) for place, location, message in placed]
    return list(dict.fromkeys(found))


def suggestion(word: str, known: list[str]) -> str:
    """`; did you mean 'BatchSize'?`, or nothing where no known word resembles it."""
    plain = {_plain(each): each for each in known}
    near = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=0.7)
    return f"; did you mean {plain[near[0]]!r}?" if near else ""


def _plain(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()


def _mistake(detail: Detail, model: type[Written], document: Document) -> tuple[Location, str]:
    location, owner = _without_kind(detail["loc"]), owner_of(detail["loc"], model)
    context = detail.get("ctx", {})
    match detail["type"]:
        case "wrong":
            return _as_written(location, owner, document), context["message"]
        case "wrong_as_a_whole":
            return location[:-1], context["message"]
        case "extra_forbidden":
            return location, _unknown_key(location, owner, in_library=document.by_name)
        case "missing":
            key = str(location[-1])
            return location, _TEXTS_OF_THE_MISSING.get(key, f"{key} is missing")
        case kind if kind in _NEEDED:
            return location, _wrong_type(location, detail, document)
        case "string_pattern_mismatch":
            return location, _wrong_form(str(location[-1]), detail["input"], owner)
    return location, _out_of_bounds(location, detail, owner)


def _without_kind(location: Location) -> Location:
    """A mapping of a file is a queue's or a stream's, and pydantic says so behind its number: `(…, 0, "queue", …)`."""
    return (*location[:2], *location[3:]) if location[:1] == (_MAPPINGS,) else location


def _as_written(location: Location, owner: type[Written], document: Document) -> Location:
    """A default that is wrong beside other fields has its attribute's name, which no file has."""
    field = None if document.by_name else owner.model_fields.get(str(location[-1]))
    return (*location[:-1], field.alias) if field and field.alias else location


def _unknown_key(location: Location, owner: type[Written], *, in_library: bool) -> str:
    key = str(location[-1])
    for name in (key, to_pascal(key)):
        if name in owner.refused:
            return owner.refused[name]
    in_snake_case = in_library and key.islower()
    known = [name if in_snake_case else field.alias or name for name, field in owner.model_fields.items()]
    return f"there is no key {key!r} here{suggestion(key, known)}"


def owner_of(location: Location, model: type[Written]) -> type[Written]:
    """The kind of value that has the last key of `location` (pydantic's), starting from `model`."""
    for index, key in enumerate(location[:-1]):
        field = None if isinstance(key, int) else field_of(model, key)
        if field is not None:
            model = next(models_in(field.annotation), model)
        elif isinstance(key, str) and location[: index - 1] == (_MAPPINGS,):
            model = MAPPING_MODELS[EventSourceKind(key)]
    return model


def field_of(model: type[Written], key: str) -> FieldInfo | None:
    """The field that is written as `key`, by either of its names."""
    return next((field for name, field in model.model_fields.items() if key in {name, field.alias}), None)


def models_in(annotation: Any) -> Iterator[type[Written]]:
    """The kinds of value that a field's type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Written):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def _wrong_type(location: Location, detail: Detail, document: Document) -> str:
    value, needed = detail["input"], _NEEDED[detail["type"]]
    if detail["type"] == "string_type" and isinstance(value, int | float):
        return f'{needed}: put it in quotes, "{document.texts.get(location, value)}"'
    return f"{needed}, not {_shown(value)}"


def _shown(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"[:_SHOWN_CHARACTERS]
        case str():
            return f"the text {value[:_SHOWN_CHARACTERS]!r}"
        case list() | tuple():
            return "a list"
        case dict():
            return "keys with values"
    return f"a value of type {type(value).__name__}"


def _wrong_form(key: str, value: str, owner: type[Written]) -> str:
    field = field_of(owner, key)
    examples = " or ".join((field and field.examples) or ())
    return f"{value[:_SHOWN_CHARACTERS]!r} does not have the right form, such as {examples}"


def _out_of_bounds(location: Location, detail: Detail, owner: type[Written]) -> str:
    ours, aws = _BOUNDS[detail["type"]](detail.get("ctx", {}))
    if not owner.is_aws:
        return f"must {ours}, not {_shown(detail['input'])}"
    value = detail["input"]
    shown, needed = ("null", _NOT_NULL) if value is None else (f"'{_as_aws_shows(value)}'", f"Member must {aws}")
    return f"1 validation error detected: Value {shown} at '{_member(location)}' failed to satisfy constraint: {needed}"


def _as_aws_shows(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _member(location: Location) -> str:
    """The member as AWS's texts name it: `scalingConfig.maximumConcurrency`, `functionResponseTypes.1.member`."""
    inside = location[2:] if location[0] in {"Functions", _MAPPINGS} else location
    return ".".join(f"{part + 1}.member" if isinstance(part, int) else _camel(part) for part in inside)


def _camel(key: str) -> str:
    pascal = to_pascal(key) if key.islower() else key
    return pascal[:1].lower() + pascal[1:]


def _choices(context: Detail) -> tuple[str, str]:
    values = ", ".join(re.findall(r"'([^']*)'", context["expected"]))
    return f"be one of {values}", f"satisfy enum value set: [{values}]"


_BOUNDS: dict[str, Callable[[Detail], tuple[str, str]]] = {
    "greater_than": lambda context: (f"be greater than {context['gt']:g}", ""),
    "greater_than_equal": lambda context: (
        f"be at least {context['ge']:g}",
        f"have value greater than or equal to {context['ge']}",
    ),
    "less_than_equal": lambda context: (
        f"be at most {context['le']}",
        f"have value less than or equal to {context['le']}",
    ),
    "string_too_short": lambda context: (
        f"have {context['min_length']} or more characters",
        f"have length greater than or equal to {context['min_length']}",
    ),
    "string_too_long": lambda context: (
        f"have {context['max_length']} or fewer characters",
        f"have length less than or equal to {context['max_length']}",
    ),
    "too_short": lambda context: (f"have {context['min_length']} or more entries", ""),
    "too_long": lambda context: (
        f"have {context['max_length']} or fewer entries",
        f"have length less than or equal to {context['max_length']}",
    ),
    "literal_error": _choices,
}
"""What is needed, in our words and in those of AWS's ValidationException."""
