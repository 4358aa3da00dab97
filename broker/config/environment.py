"""Settings from the environment: `BROKER_CONTROL_PLANE__LISTEN` is `Broker.ControlPlane.Listen`, and beats the file.

An empty variable counts as absent. A variable that names no setting is not a mistake, because the environment is
shared (Kubernetes describes a service called "broker" by variables of this prefix): `unknown_variables` tells of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from pydantic.alias_generators import to_pascal

from broker.config.document import Document, Location, Place, scalar
from broker.config.mistakes import models_in, suggestion
from broker.model.settings import BrokerSettings
from broker.model.written import Written

PREFIX = "BROKER_"
_OF_KUBERNETES = ("BROKER_SERVICE_", "BROKER_PORT")
_ROOT = "Broker"


def overlaid(document: Document, environment: Mapping[str, str]) -> Document:
    """The document with the settings of the environment in place of its own. `document` is left as it is."""
    value, places, texts = document.value, dict(document.places), dict(document.texts)
    for name, text in _variables(environment):
        found = _setting(name)
        if found is not None:
            location, converted = found[0], text if found[1] else scalar(text)
            value = _with(value, location, converted)
            places[location], texts[location] = Place(name=name), text
    return replace(document, value=value, places=places, texts=texts)


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that looks like a setting and is none."""
    known = [PREFIX + "__".join(part) for part in _names(BrokerSettings)]
    return [
        f"{name} in the environment is no setting of the broker{suggestion(name, known)}"
        for name, _ in _variables(environment)
        if _setting(name) is None and not name.startswith(_OF_KUBERNETES)
    ]


def _variables(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((name, environment[name]) for name in sorted(environment) if name.startswith(PREFIX) and environment[name])


def _setting(variable: str) -> tuple[Location, bool] | None:
    """Where a variable's setting is, and whether it is text; None where there is no such setting."""
    model: type[Written] = BrokerSettings
    location: Location = (_ROOT,)
    parts = variable.removeprefix(PREFIX).lower().split("__")
    for index, part in enumerate(parts):
        if to_pascal(part) in model.refused:
            return (*location, to_pascal(part)), True
        field = model.model_fields.get(part)
        if field is None:
            return None
        location = (*location, field.alias or part)
        inner = next(models_in(field.annotation), None)
        if inner is None:
            return (location, _takes_text(field.annotation)) if index == len(parts) - 1 else None
        model = inner
    return location, True


def _takes_text(annotation: Any) -> bool:
    parts = get_args(annotation)
    return annotation in {str, Path} or isinstance(annotation, str) or any(_takes_text(part) for part in parts)


def _names(model: type[Written]) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        inner = next(models_in(field.annotation), None)
        yield from ((name.upper(), *rest) for rest in _names(inner)) if inner else [(name.upper(),)]


def _with(value: Any, location: Location, converted: Any) -> Any:
    """A copy with `converted` at `location`; what is not keys with values stays: a mistake of its own."""
    if not location:
        return converted
    if value is not None and not isinstance(value, dict):
        return value
    inside = dict(value or {})
    inside[str(location[0])] = _with(inside.get(str(location[0])), location[1:], converted)
    return inside
