"""From a file, an environment and keyword arguments to validated values, with every mistake at once."""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from broker.config.advice import (
    contended_functions,
    crowded_streams,
    distant_destinations,
    forgotten_positions,
    hopeless_patterns,
)
from broker.config.consistency import Found, conflicts, future_mistakes, pattern_mistake, pattern_mistakes
from broker.config.document import Document, Location, path_of, read
from broker.config.environment import overlaid, unknown_variables
from broker.config.mistakes import in_order, mistakes_of
from broker.errors import ConfigurationError
from broker.model.function import Function
from broker.model.mapping import MAPPING_MODELS, EventSourceMapping, WrittenMapping, kind_of, service_of
from broker.model.settings import BrokerSettings, Configuration
from broker.model.written import Written

Value = TypeVar("Value", bound=Written)
Item = TypeVar("Item")

MEANT_BY_A_FILE = "sqlite:"
"""The store of a file that names none and needs one."""

_MAPPINGS: TypeAdapter[EventSourceMapping] = TypeAdapter(WrittenMapping)
_REQUEST = Document(value=None)
_KEYWORDS = Document(value=None, by_name=True)


def load(path: str | Path | None, environment: Mapping[str, str] = os.environ) -> Configuration:
    """Reads a file (or none: settings of the environment and defaults), in which settings of the environment win.

    Where neither names a `StateStore` and a mapping needs one, it is `sqlite:`.

    Raises:
        ConfigurationError: With every mistake, its path and its place.
    """
    document = Document(value={}) if path is None else read(Path(path))
    return _with_store(configuration_from(overlaid(document, environment)))


def _with_store(configuration: Configuration) -> Configuration:
    """A file whose mappings keep nothing needs no store, and writes none."""
    settings = configuration.broker
    if "state_store" in settings.model_fields_set or not configuration.needs_store:
        return configuration
    return configuration.model_copy(update={"broker": settings.model_copy(update={"state_store": MEANT_BY_A_FILE})})


def configuration_from(document: Document) -> Configuration:
    """Validates a document as a whole. Raises `ConfigurationError` with every mistake."""
    found: list[Found] = []
    configuration = None
    try:
        configuration = Configuration.model_validate(document.value, by_alias=True, by_name=False)
    except ValidationError as error:
        found += mistakes_of(error, Configuration, document)
    found += _mistakes_between(document.value)
    if found or configuration is None:
        raise ConfigurationError(in_order(found, document))
    return configuration


def check(configuration: Configuration, *, now: float | None = None) -> None:
    """Checks functions and mappings that did not come from one file.

    `now` is the time by the clock that counts, epoch seconds; the machine's if absent.

    Raises:
        ConfigurationError: With every mistake.
    """
    functions = list(enumerate(configuration.functions))
    mappings = list(enumerate(configuration.event_source_mappings))
    names = {function.function_name for _, function in functions}
    found = [
        *conflicts(configuration.broker, functions, mappings, names),
        *_patterns_of(mappings),
        *future_mistakes(mappings, time.time() if now is None else now),
    ]
    if found:
        raise ConfigurationError(in_order(found, _KEYWORDS))


def mapping_from(raw: Mapping[str, Any]) -> EventSourceMapping:
    """A mapping from a request in AWS's PascalCase. Raises `ConfigurationError` with every mistake."""
    return _valid_mapping(dict(raw), _REQUEST)


def parse_mapping(*, report_batch_item_failures: bool = False, **fields: Any) -> EventSourceMapping:
    """A mapping from keyword arguments: `batch_size=10`, or AWS's `BatchSize=10`.

    `report_batch_item_failures=True` is short for `function_response_types=["ReportBatchItemFailures"]`.

    Raises:
        ConfigurationError: With every mistake.
    """
    if report_batch_item_failures:
        fields.setdefault("function_response_types", ["ReportBatchItemFailures"])
    return _valid_mapping(fields, _KEYWORDS)


def parse_function(**fields: Any) -> Function:
    """A function from keyword arguments: `function_name="orders"`. Raises `ConfigurationError` with every mistake."""
    return _valid(Function, fields, _KEYWORDS)


def parse_settings(**fields: Any) -> BrokerSettings:
    """Settings from keyword arguments: `account_id="…"`. Raises `ConfigurationError` with every mistake."""
    return _valid(BrokerSettings, fields, _KEYWORDS)


def notices(configuration: Configuration, environment: Mapping[str, str] = os.environ) -> list[str]:
    """What the user should hear of a valid configuration: fields without effect, variables that are no setting."""
    kept = [
        *((f"Functions[{index}]", each.stored_fields) for index, each in enumerate(configuration.functions)),
        *(
            (f"EventSourceMappings[{index}]", each.stored_fields)
            for index, each in enumerate(configuration.event_source_mappings)
        ),
    ]
    without_effect = [f"{path}: kept without effect here: {', '.join(fields)}" for path, fields in kept if fields]
    hopeless = [
        f"{path_of(('EventSourceMappings', index, *location))}: {message}"
        for index, mapping in enumerate(configuration.event_source_mappings)
        for location, message in hopeless_patterns(mapping)
    ]
    mappings = configuration.event_source_mappings
    noticed = [
        *contended_functions(configuration.functions, mappings),
        *crowded_streams(mappings),
        *distant_destinations(mappings),
        *forgotten_positions(configuration.broker, mappings),
    ]
    others = [f"{path_of(location)}: {message}" for location, message in noticed]
    return without_effect + hopeless + others + unknown_variables(environment)


def _valid(model: type[Value], fields: dict[str, Any], form: Document) -> Value:
    try:
        return model.model_validate(fields, by_alias=True, by_name=form.by_name)
    except ValidationError as error:
        raise ConfigurationError(in_order(mistakes_of(error, model, form), form)) from None


def _valid_mapping(fields: dict[str, Any], form: Document) -> EventSourceMapping:
    mapping = _valid(MAPPING_MODELS[kind_of(fields)], fields, form)
    if found := list(pattern_mistakes(mapping)):
        raise ConfigurationError(in_order(found, form))
    return mapping


def _mistakes_between(value: Any) -> list[Found]:
    """Mistakes between those functions and mappings that are valid, even where others are not."""
    raw = value if isinstance(value, dict) else {}
    settings = _valid_ones(TypeAdapter(BrokerSettings), [raw.get("Broker", {})])
    functions = _valid_ones(TypeAdapter(Function), raw.get("Functions"))
    mappings = _valid_ones(_MAPPINGS, raw.get("EventSourceMappings"))
    names = [each["FunctionName"] for each in _list(raw.get("Functions")) if _names_a_function(each)]
    found = conflicts(settings[0][1] if settings else None, functions, mappings, names)
    future = future_mistakes(mappings, time.time())
    return [*found, *future, *_written_patterns(raw.get("EventSourceMappings"))]


def _written_patterns(raw: Any) -> Iterable[Found]:
    """Mistakes in the patterns of a file, in mappings that have other mistakes too."""
    for index, mapping in enumerate(_list(raw)):
        criteria = mapping.get("FilterCriteria") if isinstance(mapping, dict) else None
        filters = _list(criteria.get("Filters")) if isinstance(criteria, dict) else []
        for number, each in enumerate(filters):
            pattern = each.get("Pattern") if isinstance(each, dict) else None
            if isinstance(pattern, str) and (mistake := pattern_mistake(pattern, service_of(mapping))):
                yield ("EventSourceMappings", index, "FilterCriteria", "Filters", number, "Pattern"), mistake


def _patterns_of(mappings: Iterable[tuple[int, EventSourceMapping]]) -> Iterable[Found]:
    for index, mapping in mappings:
        at: Location = ("EventSourceMappings", index)
        yield from (((*at, *location), message) for location, message in pattern_mistakes(mapping))


def _valid_ones(model: TypeAdapter[Item], raw: Any) -> list[tuple[int, Item]]:
    valid = []
    for index, each in enumerate(_list(raw)):
        try:
            valid.append((index, model.validate_python(each, by_alias=True, by_name=False)))
        except ValidationError:
            continue  # reported with its mistakes already
    return valid


def _list(raw: Any) -> list[Any]:
    return raw if isinstance(raw, list) else []


def _names_a_function(raw: Any) -> bool:
    return isinstance(raw, dict) and isinstance(raw.get("FunctionName"), str)
