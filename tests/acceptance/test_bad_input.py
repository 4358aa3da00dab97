"""Whatever is wrong, the command says where and what to do, exits with the code that says whose turn it is, and shows
no traceback."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.command import Ended, Place

GOOD = """\
Functions:
  - {FunctionName: orders, Callable: "app:handler"}
EventSourceMappings:
  - FunctionName: orders
    EventSourceArn: arn:aws:sqs:eu-west-1:123456789012:QUEUE
    BatchSize: 10
    Broker: {LongPollSeconds: 1}
"""
HANDLER = "def handler(event, context):\n    return None\n"


def prepare(place: Place, *, text: str = GOOD, handler: str = HANDLER, queue: str = "orders") -> Place:
    place.write("broker.yaml", text.replace("QUEUE", queue))
    place.write("app.py", handler)
    return place


def assert_says(ended: Ended, code: int, *parts: str) -> None:
    assert ended.code == code, ended.text
    assert "Traceback" not in ended.text
    for part in parts:
        assert part in ended.err, ended.text


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def free_port() -> int:
    with taken_port() as port:
        return port


# ---- the user's mistakes: 2


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        (
            GOOD.replace("BatchSize", "BatchSise"),
            ["broker.yaml:6:5", "EventSourceMappings[0]", "BatchSise", "BatchSize"],
        ),
        (
            GOOD.replace("BatchSize: 10", "BatchSize: ten"),
            ["broker.yaml:6:5", "EventSourceMappings[0].BatchSize", "'ten'"],
        ),
        (GOOD.replace("BatchSize: 10", "BatchSize: 10001"), ["broker.yaml:6:5", "10001", "10000"]),
        (GOOD.replace(', Callable: "app:handler"', ""), ["broker.yaml:2", "Functions[0]", "Callable"]),
        (GOOD.replace("FunctionName: orders\n", "FunctionName: ordres\n"), ["broker.yaml:4", "ordres", "orders"]),
        (GOOD.replace("Functions:", "Functions: ["), ["broker.yaml:", "YAML"]),
    ],
    ids=["unknown key", "wrong type", "out of range", "missing handler", "unknown function", "malformed YAML"],
)
def test_a_mistake_in_the_file_is_named_with_its_place(
    place: Place, command: str, wrong: str, parts: list[str]
) -> None:
    assert_says(prepare(place, text=wrong).run(command), 2, *parts)


def test_every_mistake_is_reported_at_once(place: Place) -> None:
    wrong = GOOD.replace("BatchSize: 10", "BatchSize: 0").replace("LongPollSeconds: 1", "LongPollSeconds: 21")
    assert_says(prepare(place, text=wrong).run("validate"), 2, "BatchSize", "LongPollSeconds")


def test_a_file_that_is_not_there_is_named(place: Place) -> None:
    assert_says(place.run("run", "nowhere.yaml"), 2, "nowhere.yaml", "no such file")


@pytest.mark.parametrize(
    ("handler", "parts"),
    [
        ("import not_there\n", ["Functions[0].Callable", "app", "not_there"]),
        ("1 / 0\n", ["Functions[0].Callable", "app", "division by zero"]),
        ("def other(event, context): ...\n", ["Functions[0].Callable", "handler"]),
        ("handler = 3\n", ["Functions[0].Callable", "handler"]),
        ("def handler(:\n", ["Functions[0].Callable", "app"]),
    ],
    ids=["import fails", "module raises", "no such function", "not callable", "syntax error"],
)
def test_a_handler_that_cannot_be_loaded_is_named(beside_emulator: Place, handler: str, parts: list[str]) -> None:
    assert_says(prepare(beside_emulator, handler=handler).run("run"), 2, *parts)


def test_with_strict_a_queue_that_does_not_exist_is_a_mistake(beside_emulator: Place) -> None:
    ended = prepare(beside_emulator, queue=f"missing-{uuid4()}").run("run", "--strict")
    assert_says(ended, 2, "EventSourceMappings[0].EventSourceArn", "does not exist")


def test_with_strict_a_queue_that_hides_messages_too_briefly_is_a_mistake(beside_emulator: Place, sqs: Any) -> None:
    name = f"brief-{uuid4()}"
    sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "1"})
    ended = prepare(beside_emulator, queue=name).run("run", "--strict")
    assert_says(ended, 2, "EventSourceMappings[0].EventSourceArn", "Queue visibility timeout: 1 seconds")


def test_an_unknown_command_or_option_is_a_mistake(place: Place) -> None:
    assert_says(place.run("rnu"), 2, "No such command 'rnu'")
    assert_says(place.run("run", "--srtict"), 2, "--srtict")


def test_credentials_of_another_account_are_refused(beside_emulator: Place) -> None:
    beside_emulator.environment["BROKER_EXPECTED_ACCOUNT_ID"] = "999999999999"
    assert_says(prepare(beside_emulator).run("run"), 2, "ExpectedAccountId", "123456789012", "999999999999")


# ---- the world's faults: 1, or a mapping that tries again


@pytest.mark.parametrize(
    ("setting", "variable"),
    [("ControlPlane.Listen", "BROKER_CONTROL_PLANE__LISTEN"), ("Health.Listen", "BROKER_HEALTH__LISTEN")],
)
def test_a_port_in_use_names_the_setting_and_the_variable(beside_emulator: Place, setting: str, variable: str) -> None:
    with taken_port() as port:
        beside_emulator.environment[variable] = f"127.0.0.1:{port}"
        ended = prepare(beside_emulator).run("run")
    assert_says(ended, 1, f"{setting} 127.0.0.1:{port}: address in use", variable)


def test_a_queue_that_does_not_exist_is_tried_again(beside_emulator: Place) -> None:
    with prepare(beside_emulator, queue=f"missing-{uuid4()}").start("run") as running:
        running.wait_for("does not exist")
        running.signal(signal.SIGTERM)
        ended = running.end()
    assert_says(ended, 0, "source.failed")


def test_missing_credentials_are_named_and_tried_again(place: Place) -> None:
    with prepare(place).start("run") as running:
        running.wait_for("no AWS credentials were found")
        running.signal(signal.SIGTERM)
        ended = running.end()
    assert_says(ended, 0, "AWS_ACCESS_KEY_ID", "AWS_PROFILE")


def test_an_unreachable_endpoint_is_named_and_tried_again(beside_emulator: Place) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    beside_emulator.environment["AWS_ENDPOINT_URL"] = url
    with prepare(beside_emulator).start("run") as running:
        running.wait_for("cannot be reached")
        running.signal(signal.SIGTERM)
        ended = running.end()
    assert_says(ended, 0, url.removeprefix("http://"), "AWS_ENDPOINT_URL")


def test_with_strict_an_endpoint_that_cannot_be_reached_is_the_worlds_fault(beside_emulator: Place) -> None:
    beside_emulator.environment["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{free_port()}"
    assert_says(prepare(beside_emulator).run("run", "--strict"), 1, "cannot be reached")


def test_with_strict_missing_credentials_are_the_worlds_fault(place: Place) -> None:
    assert_says(prepare(place).run("run", "--strict"), 1, "no AWS credentials were found")


def test_without_a_daemon_the_mappings_cannot_be_listed(place: Place) -> None:
    ended = place.run("mappings", "list", "--url", f"http://127.0.0.1:{free_port()}")
    assert_says(ended, 1, "no running broker answers", "broker run")


def test_a_missing_emulator_says_how_to_have_one(place: Place) -> None:
    place.environment["BROKER_DEV__EMULATOR_COMMAND"] = "no-such-emulator"
    assert_says(place.run("dev", "--seconds", "1"), 1, "no-such-emulator", "EmulatorCommand")


def test_an_emulator_that_ends_at_once_is_quoted(place: Place) -> None:
    place.environment["BROKER_DEV__EMULATOR_COMMAND"] = "echo sorry"
    assert_says(place.run("dev", "--seconds", "1"), 1, "echo sorry", "it wrote: sorry")


def test_a_data_folder_that_cannot_be_made_is_named(place: Place) -> None:
    place.write("taken", "a file")
    place.environment["BROKER_DATA_FOLDER"] = "taken/below"
    assert_says(place.run("dev", "--seconds", "1"), 1, "Broker.DataFolder taken/below", "BROKER_DATA_FOLDER")
