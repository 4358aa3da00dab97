"""What `deploy/` ships, as far as it can be checked without an engine."""

import configparser
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from broker.config import load
from broker.executors.loading import load_callable
from broker.model.settings import BrokerSettings, Health

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
EXAMPLE = DEPLOY / "example"
AUTHORISED_AS = {"DeleteMessageBatch": "DeleteMessage", "ChangeMessageVisibilityBatch": "ChangeMessageVisibility"}
"""SQS authorises a batch by the action of a single entry."""


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
            assert (DEPLOY / volume.split(":")[0]).exists()
        if "build" in service:
            context = DEPLOY / service["build"]["context"]
            assert (context / service["build"]["dockerfile"]).exists()


def test_the_compose_file_waits_longer_than_a_drain() -> None:
    grace = int(compose()["services"]["broker"]["stop_grace_period"].removesuffix("s"))
    assert grace > load(EXAMPLE / "broker.yaml", environment={}).broker.drain_timeout_in_seconds


def test_the_example_of_the_compose_file_handles_orders() -> None:
    (function,) = load(EXAMPLE / "broker.yaml", environment={}).functions
    handler = load_callable(str(function.callable), folders=[EXAMPLE])
    event = {"Records": [{"messageId": str(number), "body": json.dumps({"number": number})} for number in (9, 10)]}

    class Context:
        aws_request_id = "request"

    assert handler(event, Context()) == {"batchItemFailures": [{"itemIdentifier": "10"}]}


def called_actions() -> set[str]:
    """Every operation that the SQS source calls, as IAM knows it."""
    source = (ROOT / "broker/sources/sqs.py").read_text(encoding="utf-8")
    operations = set(re.findall(r"(?:_call|\.call)\(\s*\"(\w+)\"", source))
    return {f"sqs:{AUTHORISED_AS.get(operation, operation)}" for operation in operations}


@pytest.mark.parametrize("path", sorted((DEPLOY / "iam").glob("*.json")), ids=lambda path: path.name)
def test_the_policy_allows_what_the_source_calls_and_nothing_else(path: Path) -> None:
    statements = json.loads(path.read_text(encoding="utf-8"))["Statement"]
    queue, *others = statements
    assert set(queue["Action"]) == called_actions()
    assert [statement["Action"] for statement in others] == ["kms:Decrypt"] * len(others)
    assert all("*" not in statement["Resource"] for statement in statements)


def test_the_unit_waits_longer_than_a_drain_and_does_not_repeat_a_mistake() -> None:
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "systemd" / "broker.service", encoding="utf-8")
    service = unit["Service"]
    assert service["ExecStart"] == "/opt/broker/bin/broker run /etc/broker/broker.yaml"
    assert int(service["TimeoutStopSec"]) > BrokerSettings().drain_timeout_in_seconds
    assert service["KillMode"] == "mixed"
    assert service["RestartPreventExitStatus"] == "2"
