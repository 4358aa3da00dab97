"""What `deploy/` ships, as far as it can be checked without an engine."""

import ast
import base64
import configparser
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.session import get_session

from broker.config import load
from broker.executors.loading import load_callable
from broker.model.reference import StoreKind
from broker.model.settings import BrokerSettings, Health

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
EXAMPLE = DEPLOY / "example"
AUTHORISED_AS = {
    "DeleteMessageBatch": "DeleteMessage",
    "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
    "HeadBucket": "ListBucket",
}
"""Operations that IAM knows by another name: SQS authorises a batch by the action of a single entry."""


def dockerfile() -> str:
    return (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def instructions(name: str) -> list[str]:
    return [line.split(maxsplit=1)[1] for line in dockerfile().splitlines() if line.startswith(f"{name} ")]


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))


def test_the_image_runs_the_file_as_a_user_without_a_name_or_a_privilege() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert json.loads(instructions("ENTRYPOINT")[0]) == ["broker"]
    assert json.loads(instructions("CMD")[0]) == ["run", "/etc/broker/broker.yaml"]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]


def test_the_image_is_built_from_the_base_that_is_asked_for() -> None:
    assert [line.split()[0] for line in instructions("FROM")] == ["${BASE_IMAGE}", "${BASE_IMAGE}"]
    assert instructions("ARG") == ["BASE_IMAGE=python:3.12-slim"]


def test_the_image_answers_probes_where_its_own_check_asks() -> None:
    variables = dict(pair.split("=", 1) for pair in instructions("ENV")[0].split())
    settings = BrokerSettings(health=Health(listen=variables["BROKER_HEALTH__LISTEN"]))
    assert settings.health.address == ("0.0.0.0", 3002)
    assert "127.0.0.1:3002/livez" in instructions("HEALTHCHECK")[0]
    assert instructions("EXPOSE") == ["3002"]


def test_the_build_sees_every_file_that_the_image_copies_and_no_other() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {source for line in instructions("COPY") if not line.startswith("--from") for source in line.split()[:-1]}
    assert copied == allowed
    assert all((ROOT / source).exists() for source in copied)


def test_the_compose_file_mounts_what_exists_and_names_images_that_can_be_replaced() -> None:
    services = compose()["services"]
    assert services["emulator"]["image"].startswith("${EMULATOR_IMAGE:-ministackorg/ministack:")
    assert services["broker"]["build"]["args"]["BASE_IMAGE"].startswith("${BASE_IMAGE:-")
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose()["volumes"] or (DEPLOY / source).exists()
        if "build" in service:
            context = DEPLOY / service["build"]["context"]
            assert (context / service["build"]["dockerfile"]).exists()


def test_the_compose_file_waits_longer_than_a_drain() -> None:
    grace = int(compose()["services"]["broker"]["stop_grace_period"].removesuffix("s"))
    assert grace > load(EXAMPLE / "broker.yaml", environment={}).broker.drain_timeout_in_seconds


def test_the_broker_of_the_compose_file_keeps_its_state_in_a_volume_and_writes_nowhere_else() -> None:
    (data_folder,) = (pair.split("=")[1] for pair in instructions("ENV")[0].split() if "DATA_FOLDER" in pair)
    service = compose()["services"]["broker"]
    assert f"state:{data_folder}" in service["volumes"]
    assert service["read_only"] is True
    settings = load(EXAMPLE / "broker.yaml", environment={}).broker
    assert (settings.store.kind, settings.store.place) == (StoreKind.SQLITE, "")
    assert any(f"chown 10001:10001 {data_folder}" in line for line in instructions("RUN"))


class Context:
    aws_request_id = "request"
    fencing_token = 7


def handler_of(name: str) -> Any:
    functions = load(EXAMPLE / "broker.yaml", environment={}).functions
    (function,) = (function for function in functions if function.function_name == name)
    return load_callable(str(function.callable), folders=[EXAMPLE])


def test_the_example_of_the_compose_file_handles_orders() -> None:
    event = {"Records": [{"messageId": str(number), "body": json.dumps({"number": number})} for number in (9, 10)]}
    assert handler_of("orders")(event, Context()) == {"batchItemFailures": [{"itemIdentifier": "10"}]}


def test_the_example_of_the_compose_file_handles_clicks(capsys: pytest.CaptureFixture[str]) -> None:
    data = base64.b64encode(b'{"page": "/articles/1"}').decode()
    assert handler_of("clicks")({"Records": [{"kinesis": {"partitionKey": "a", "data": data}}]}, Context()) is None
    assert capsys.readouterr().out == "a looked at /articles/1 (fencing token 7)\n"


def operations_named(service: str, *modules: str) -> set[str]:
    """Operations of a service whose names stand in these modules of the broker, documentation aside."""
    known = set(get_session().get_service_model(service).operation_names)
    trees = [ast.parse((ROOT / "broker" / module).read_text(encoding="utf-8")) for module in modules]
    texts = (node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {text for text in texts if isinstance(text, str) and text in known}


def actions_of(service: str, *modules: str) -> set[str]:
    """What IAM calls them."""
    prefix = "dynamodb" if service == "dynamodbstreams" else service
    names = {AUTHORISED_AS.get(name, name) for name in operations_named(service, *modules)}
    return {f"{prefix}:{name}" for name in names}


QUEUE = actions_of("sqs", "sources/sqs.py")
KINESIS = actions_of(
    "kinesis", *(f"sources/kinesis{part}.py" for part in ("", "_api", "_reader", "_fan_out", "_faults"))
)
SUBSCRIBING, POLLING = {"kinesis:SubscribeToShard"}, {"kinesis:GetShardIterator", "kinesis:GetRecords"}
POLICIES = {
    "sqs-mapping.json": QUEUE,
    "sqs-mapping-encrypted.json": QUEUE | {"kms:Decrypt"},
    "kinesis-mapping.json": KINESIS - SUBSCRIBING,
    "kinesis-fan-out-mapping.json": KINESIS - POLLING,
    "dynamodb-stream-mapping.json": actions_of("dynamodbstreams", "sources/dynamodb_streams.py"),
    "on-failure-sqs.json": actions_of("sqs", "destinations/sqs.py"),
    "on-failure-sns.json": actions_of("sns", "destinations/sns.py"),
    "on-failure-s3.json": actions_of("s3", "destinations/s3.py", "cli/live_destinations.py"),
    "state-table.json": actions_of("dynamodb", "stores/dynamodb.py", "stores/dynamodb_table.py"),
}


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_there_is_a_policy_for_each_thing_that_the_broker_calls() -> None:
    assert {path.name for path in (DEPLOY / "iam").iterdir()} == set(POLICIES)


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_allows_what_is_called_and_nothing_else(name: str) -> None:
    statements = json.loads((DEPLOY / "iam" / name).read_text(encoding="utf-8"))["Statement"]
    allowed = [action for statement in statements for action in listed(statement["Action"])]
    assert len(allowed) == len(set(allowed))
    assert set(allowed) == POLICIES[name]


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_names_its_resources(name: str) -> None:
    statements = json.loads((DEPLOY / "iam" / name).read_text(encoding="utf-8"))["Statement"]
    resources = [resource for statement in statements for resource in listed(statement["Resource"])]
    assert all(resource.startswith("arn:aws:") for resource in resources)
    assert all(resource.count("*") == ("s3" in resource and "/" in resource) for resource in resources)


def test_the_unit_waits_longer_than_a_drain_and_does_not_repeat_a_mistake() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "systemd" / "broker.service", encoding="utf-8")
    service = unit["Service"]
    assert service["ExecStart"] == "/opt/broker/bin/broker run /etc/broker/broker.yaml"
    assert int(service["TimeoutStopSec"]) > BrokerSettings().drain_timeout_in_seconds
    assert service["KillMode"] == "mixed"
    assert service["RestartPreventExitStatus"] == "2"


def test_the_unit_keeps_its_state_in_a_folder_of_its_own() -> None:
    unit = (DEPLOY / "systemd" / "broker.service").read_text(encoding="utf-8")
    assert re.search(r"^StateDirectory=(.+)$", unit, re.MULTILINE)[1] == "broker"  # type: ignore[index]
    assert "\nEnvironment=BROKER_DATA_FOLDER=/var/lib/broker\n" in unit
