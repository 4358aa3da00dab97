"""What each command does when nothing is wrong."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.command import COMMAND, Place
from tests.acceptance.desk import FILE, HANDLER, Desk, events_of

SLOW_HANDLER = """\
import time

def handler(event, context):
    print("began", flush=True)
    time.sleep(15)
"""


def test_run_says_first_whose_broker_it_is_and_ends_with_0_after_a_drain(desk: Desk) -> None:
    with desk.place.start("run") as running:
        identifier = desk.send()
        running.wait_for(f"handled {identifier}")
        running.signal(signal.SIGTERM)
        ended = running.end()
        first = json.loads(ended.err.splitlines()[0])
    assert ended.code == 0
    assert (first["event"], first["account"], first["region"]) == ("broker.started", "123456789012", "eu-west-1")
    assert (first["store"], first["sources"]) == ("memory:", f"{desk.name} -> orders")
    assert first["listener"].startswith("http://127.0.0.1:")
    assert desk.depth() == 0


def test_each_settled_batch_is_one_log_event_with_its_mapping(desk: Desk) -> None:
    with desk.place.start("run") as running:
        desk.send()
        running.wait_for("batch.settled")
        (settled,) = events_of(running, "batch.settled")
    assert (settled["function"], settled["queue"], settled["reason"]) == ("orders", desk.name, "succeeded")
    assert (settled["batch"], settled["attempt"], settled["acked_count"], settled["retried_count"]) == (1, 1, 1, 0)
    assert "duration_seconds" in settled
    assert "mapping" in settled


def test_neither_payloads_nor_credentials_are_logged_even_at_debug(desk: Desk) -> None:
    desk.place.environment |= {"BROKER_LOG_LEVEL": "DEBUG", "AWS_SECRET_ACCESS_KEY": "not-to-be-seen"}
    with desk.place.start("run") as running:
        desk.send(note="swordfish")
        desk.send(kind="refund", note="swordfish")
        running.wait_for("records.deleted")
        running.signal(signal.SIGTERM)
        ended = running.end()
    assert '"level":"debug"' in ended.err
    assert "swordfish" not in ended.text
    assert "not-to-be-seen" not in ended.text


@pytest.mark.parametrize("shown", [False, True])
def test_what_a_handlers_error_quotes_is_written_only_where_asked_for(
    beside_emulator: Place, sqs: Any, shown: bool
) -> None:
    handler = 'def handler(event, context):\n    return int(event["Records"][0]["body"])\n'
    desk = Desk(beside_emulator, sqs, handler=handler)
    desk.place.environment |= {"BROKER_LOG_LEVEL": "DEBUG", "BROKER_LOG_HANDLER_ERROR_MESSAGES": str(shown).lower()}
    with desk.place.start("run") as running:
        desk.send(note="swordfish")
        running.wait_for("batch.settled")
        (started,), (settled,) = events_of(running, "broker.started"), events_of(running, "batch.settled")
        listed = desk.place.run("mappings", "list", "--url", started["listener"], "--output", "json")
        running.signal(signal.SIGTERM)
        ended = running.end()
    assert (settled["reason"], settled["error_type"]) == ("handler_failed", "ValueError")
    assert ("swordfish" in ended.text) is shown
    assert ("swordfish" in listed.out) is shown
    assert "handler_failed: ValueError" in listed.out


def test_ctrl_c_drains_what_is_in_flight(beside_emulator: Place, sqs: Any) -> None:
    handler = SLOW_HANDLER.replace("15", "2") + '    print("done", flush=True)\n'
    desk = Desk(beside_emulator, sqs, handler=handler)
    with desk.place.start("run") as running:
        desk.send()
        running.wait_for("began")
        running.signal(signal.SIGINT)
        ended = running.end()
    assert (ended.code, desk.depth()) == (0, 0)
    assert "done" in ended.out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_cuts_the_drain_short(
    beside_emulator: Place, sqs: Any, number: signal.Signals, code: int
) -> None:
    desk = Desk(beside_emulator, sqs, handler=SLOW_HANDLER)
    with desk.place.start("run") as running:
        desk.send()
        running.wait_for("began")
        running.signal(number)
        running.wait_for("drain.begun")
        running.signal(number)
        began = time.monotonic()
        ended = running.end()
    assert ended.code == code
    assert time.monotonic() - began < 10
    assert "Traceback" not in ended.text
    assert desk.depth() == 1


def test_mappings_list_shows_what_a_running_daemon_does(desk: Desk) -> None:
    with desk.place.start("run") as running:
        desk.send()
        desk.send(kind="refund")
        running.wait_for("batch.settled")
        (started,) = events_of(running, "broker.started")
        table = desk.place.run("mappings", "list", "--url", started["listener"])
        (listed,) = json.loads(desk.place.run("mappings", "list", "--url", started["listener"], "--output", "json").out)
    assert table.code == 0
    assert re.search(rf"orders +{desk.name} +Enabled", table.out)
    assert (listed["statistics"]["polled_count"], listed["statistics"]["filtered_count"]) == (2, 1)
    assert listed["healthy"] is True


def test_validate_counts_what_is_in_the_file(desk: Desk) -> None:
    ended = desk.place.run("validate")
    assert (ended.code, ended.out) == (0, "✓ broker.yaml: valid: 1 function, 1 mapping\n")


def test_validate_live_names_what_aws_would_refuse_or_advise(beside_emulator: Place, sqs: Any) -> None:
    dead = sqs.create_queue(QueueName=f"dead-{uuid4()}")["QueueUrl"].rsplit("/", 1)[1]
    policy = json.dumps({"deadLetterTargetArn": f"arn:aws:sqs:eu-west-1:123456789012:{dead}", "maxReceiveCount": "2"})
    desk = Desk(beside_emulator, sqs, RedrivePolicy=policy, VisibilityTimeout="10")
    desk.send()
    ended = desk.place.run("validate", "--live", "--output", "json")
    findings = [(each["severity"], each["path"], each["message"]) for each in json.loads(ended.out)]
    assert ended.code == 2
    source = "EventSourceMappings[0].EventSourceArn"
    refusal = "Queue visibility timeout: 10 seconds is less than Function timeout: 20 seconds"
    assert ("error", source, refusal) in findings
    assert ("ok", "Broker", "account 123456789012") in findings
    assert any(severity == "warning" and "maxReceiveCount is 2" in message for severity, _, message in findings)
    permitted = [message for _, path, message in findings if path == source and "is permitted" in message]
    assert len(permitted) == 3
    message = sqs.receive_message(QueueUrl=desk.url, MessageSystemAttributeNames=["All"])["Messages"][0]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def test_validate_live_names_a_queue_that_does_not_exist(desk: Desk, sqs: Any) -> None:
    sqs.delete_queue(QueueUrl=desk.url)
    ended = desk.place.run("validate", "--live")
    assert ended.code == 2
    assert "✗ EventSourceMappings[0].EventSourceArn: " in ended.out
    assert "the queue does not exist" in ended.out


def test_filter_test_says_which_pattern_passes_a_message(desk: Desk) -> None:
    lines = '{"body": "{\\"kind\\": \\"order\\"}", "messageId": "a"}\n{"Body": "{\\"kind\\": \\"refund\\"}"}\n'
    ended = desk.place.run("filter", "test", "--events", "-", "--output", "json", stdin=lines)
    assert ended.code == 0
    assert [(each["message"], each["passes"]) for each in json.loads(ended.out)] == [("a", True), ("message-2", False)]


def test_filter_test_peeks_and_gives_the_messages_back(desk: Desk) -> None:
    passing, dropped = desk.send(), desk.send(kind="refund")
    ended = desk.place.run("filter", "test", "--peek", "5", "--output", "json")
    outcomes = {each["message"]: each["passes"] for each in json.loads(ended.out)}
    assert outcomes == {passing: True, dropped: False}
    answer = desk.sqs.receive_message(QueueUrl=desk.url, MaxNumberOfMessages=10)
    assert {message["MessageId"] for message in answer["Messages"]} == {passing, dropped}


def test_filter_test_names_a_place_that_holds_no_message(desk: Desk) -> None:
    ended = desk.place.run("filter", "test", "--events", "-", stdin='{"body": "x"}\n{"nobody": 1}\n')
    assert ended.code == 2
    assert "<stdin>:2" in ended.err


def test_schema_is_a_json_schema_that_takes_the_file(place: Place) -> None:
    ended = place.run("schema")
    assert ended.code == 0
    assert "EventSourceMappings" in json.loads(ended.out)["properties"]


def test_output_that_nobody_reads_is_no_bug(place: Place) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [COMMAND, "schema"],
            cwd=place.folder,
            env=place.variables(),
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.stderr == b""


def test_the_version_is_told(place: Place) -> None:
    assert re.fullmatch(r"broker, version \d+\.\d+\.\d+\S*\n", place.run("--version").out)


# ---- broker dev


def test_the_demonstration_adds_up(place: Place) -> None:
    ended = place.run("dev", "--seconds", "8")
    assert ended.code == 0, ended.text
    assert "It adds up." in ended.out
    counts = re.search(
        r"sent (\d+) = handled (\d+) \+ filtered (\d+) \+ dead-lettered (\d+) \+ still queued (\d+)", ended.out
    )
    assert counts
    sent, handled, filtered, dead, queued = map(int, counts.groups())
    assert sent == handled + filtered + dead + queued
    assert min(handled, filtered, dead) > 0
    of_streams = re.search(
        r"sent (\d+) = handled (\d+) \+ filtered (\d+) \+ in destination (\d+) \+ dropped 0 \+ left (\d+)", ended.out
    )
    assert of_streams
    sent, handled, filtered, delivered, left = map(int, of_streams.groups())
    assert sent == handled + filtered + delivered + left
    assert min(handled, filtered, delivered) > 0
    assert "split into" in ended.out
    assert len(re.findall(r"^clicks [0-3] .*(?:\w+.*) \| (?:\w+)", ended.out, re.MULTILINE)) >= 4
    assert "Traceback" not in ended.text
    assert {path.name for path in place.folder.iterdir()} <= {".broker", "out.txt", "err.txt"}


def test_ctrl_c_drains_the_demonstration_and_shows_its_summary(place: Place) -> None:
    with place.start("dev") as running:
        running.wait_for("to retry")
        running.signal(signal.SIGINT)
        ended = running.end()
    assert ended.code == 0, ended.text
    assert "It adds up." in ended.out


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_emulator_does_not_outlive_the_command(place: Place, number: signal.Signals) -> None:
    with place.start("dev") as running:
        url = re.search(r"emulator (http://127\.0\.0\.1:(\d+))", running.wait_for("Enabled"))
        assert url
        running.signal(number)
        running.end()
    deadline = time.monotonic() + 10
    while is_listening(int(url.group(2))) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_listening(int(url.group(2)))


def test_dev_makes_the_queues_of_a_file(place: Place) -> None:
    second = FILE[FILE.index("  - FunctionName: orders") :].replace("QUEUE", "payments.fifo")
    place.write("broker.yaml", FILE.replace("QUEUE", "orders") + second)
    place.write("app.py", HANDLER)
    ended = place.run("dev", "broker.yaml", "--seconds", "2")
    assert ended.code == 0, ended.text
    assert "payments.fifo: Enabled" in ended.out
    assert re.search(r"^orders +0 +0 +0 +0 +0$", ended.out, re.MULTILINE)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
