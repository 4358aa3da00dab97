"""The JSON Schema is current, and the examples follow it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from broker.config import json_schema, load

CONFIG = Path(__file__).parents[2] / "config"
EXAMPLES = sorted(CONFIG.glob("*.yaml"))
SCHEMA = json_schema()


def valid(value: Any) -> None:
    Draft202012Validator(SCHEMA).validate(value)


def mapping(**fields: Any) -> dict[str, Any]:
    source = "arn:aws:sqs:eu-west-1:123456789012:orders"
    return {"EventSourceMappings": [{"EventSourceArn": source, "FunctionName": "orders", **fields}]}


def described(schema: Any, path: str = "") -> list[str]:
    """Paths of properties without a description."""
    missing = []
    for name, each in schema.get("properties", {}).items():
        missing += [] if "description" in each else [f"{path}.{name}"]
    for name, each in schema.get("$defs", {}).items():
        missing += described(each, name)
    return missing


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_checked_in_schema_is_current() -> None:
    written = json.loads((CONFIG / "broker.schema.json").read_text())
    assert written == SCHEMA, "write it anew: broker schema > config/broker.schema.json"


def test_every_property_is_described() -> None:
    assert described(SCHEMA) == []


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_can_be_loaded(path: Path) -> None:
    configuration = load(path, {})
    assert configuration.functions
    assert configuration.event_source_mappings


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_follows_the_schema(path: Path) -> None:
    valid(yaml.safe_load(path.read_text()))


def test_the_example_of_every_setting_shows_every_setting() -> None:
    written = yaml.safe_load((CONFIG / "every-setting.yaml").read_text())
    assert set(written["Broker"]) == set(SCHEMA["$defs"]["BrokerSettings"]["properties"])
    shown = {name for mapping in written["EventSourceMappings"] for name in mapping["Broker"]}
    known = [SCHEMA["$defs"][f"{source}Extensions"]["properties"] for source in ("Queue", "Stream")]
    assert shown == {name for each in known for name in each}


def test_the_schema_takes_a_mapping_as_what_its_arn_says() -> None:
    stream = {"EventSourceArn": "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks", "FunctionName": "clicks"}
    valid(
        {"EventSourceMappings": [{**stream, "StartingPosition": "LATEST", "StartingPositionTimestamp": "2026-01-31"}]}
    )
    for fields in ({}, {"StartingPosition": "FIRST"}, {"StartingPosition": "LATEST", "ScalingConfig": {}}):
        with pytest.raises(ValidationError):
            valid({"EventSourceMappings": [{**stream, **fields}]})


@pytest.mark.parametrize(
    "value",
    [
        mapping(batch_size=5),
        mapping(BatchSize="5"),
        mapping(BatchSize=10_001),
        mapping(ParallelizationFactor=2),
        mapping(Broker={"TakeOver": "ordered"}),
        {"Functions": [{"FunctionName": "orders"}]},
        {"Functions": [{"FunctionName": "orders", "Url": "http://a", "Callable": "a:b"}]},
        {"Functions": [{"FunctionName": "orders", "Url": "http://a", "Runtime": "python3.12"}]},
        {"Broker": {"AccountId": 123456789012}},
    ],
)
def test_the_schema_refuses_what_the_broker_refuses(value: Any) -> None:
    with pytest.raises(ValidationError):
        valid(value)


def test_the_schema_takes_a_command_as_text_or_words() -> None:
    valid({"Broker": {"Dev": {"EmulatorCommand": "ministack --quiet"}}})
    valid({"Broker": {"Dev": {"EmulatorCommand": ["ministack", "--quiet"]}}})
