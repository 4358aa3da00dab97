"""The JSON Schema of the file, for editors and for `broker schema`."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from broker.model.settings import Configuration


def json_schema() -> dict[str, Any]:
    """The file's JSON Schema (draft 2020-12), in AWS's PascalCase, with descriptions."""
    schema = Configuration.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": GenerateJsonSchema.schema_dialect, **_plain(schema), "title": "The broker's file"}


def _plain(value: Any) -> Any:
    """Without titles that repeat keys and without null where absence says the same; descriptions on one line."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if not isinstance(value, dict):
        return value
    if _is_optional(value):
        kept = {key: each for key, each in value.items() if key not in {"anyOf", "default"}}
        return _plain({**value["anyOf"][0], **kept})
    plain = {key: _plain(each) for key, each in value.items() if not (key == "title" and isinstance(each, str))}
    if isinstance(text := plain.get("description"), str):
        plain["description"] = " ".join(text.split())
    return plain


def _is_optional(value: dict[str, Any]) -> bool:
    match value:
        case {"anyOf": [_, {"type": "null"}], "default": None}:
            return True
    return False
