"""`broker replay`: hands the records of an on-failure record to their function once more."""

import sys
from contextlib import AsyncExitStack, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO
from uuid import uuid4

import anyio
import click
import orjson

from broker.aws.clients import Clients
from broker.cli.daemon import surroundings
from broker.cli.exits import ExitCode
from broker.cli.failed_records import failed_records
from broker.cli.failure_records import FailureRecord, read_failure_record
from broker.cli.operating import title_of
from broker.cli.output import Column, OutputFormat, output_option, print_json, print_table
from broker.composing.executors import Executors
from broker.composing.targets import target_of
from broker.config import load
from broker.core.filtering_streams import compile_stream_filters
from broker.core.payload import stream_event
from broker.core.response import failed_identifiers
from broker.errors import CommandError, ConfigurationError
from broker.model.invocation import (
    HandlerFailed,
    Invocation,
    InvocationResult,
    Succeeded,
    Throttled,
    TimedOut,
    Unavailable,
)
from broker.model.payload import Payload
from broker.model.reference import StreamReference, StreamService
from broker.model.settings import Configuration
from broker.model.stream_mapping import StreamMapping
from broker.ports import StreamSource
from broker.runtime.clock import SystemClock
from broker.sources.dynamodb_streams import DynamoDbStreamSource
from broker.sources.kinesis import KinesisStreamSource

COLUMNS = (
    Column(title="outcome"),
    Column(title="function"),
    Column(title="records", number=True),
    Column(title="seconds", number=True),
    Column(title="detail", folds=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What is handed over, and to whom."""

    mapping: StreamMapping
    event: Payload


@click.command()
@click.argument("record", type=click.File("rb"), metavar="RECORD")
@click.argument("file", type=click.Path(path_type=Path), default=Path("broker.yaml"), metavar="[FILE]", required=False)
@click.option("--function", metavar="NAME", help="Invoke this function of the file instead of the one that failed.")
@click.option("--dry-run", is_flag=True, help="Print the event, and invoke nothing.")
@click.option("--force", is_flag=True, help="Replay although the records found are not as many as were given up.")
@output_option
def replay(
    record: BinaryIO, file: Path, *, function: str | None, dry_run: bool, force: bool, output: OutputFormat
) -> int:
    """Hand the records of a failure record to the function once more.

    RECORD is a file (- for standard input) with the JSON that an on-failure destination got: as such, as a message of
    SQS, as a notification of SNS, or as an object of S3. Its payload is used where it has one; else the records are
    read from the stream again. No position is moved. The exit code is 1 where the function fails.
    """
    configuration = load(file)
    failure = read_failure_record(record.read(), name=record.name)
    if dry_run:
        event = anyio.run(_event, configuration, failure, function, force).event
        click.echo(event.bytes.decode())
        return ExitCode.OK
    report = anyio.run(_replay, configuration, failure, function, force)
    if output == "json":
        print_json(report)
    else:
        print_table(COLUMNS, [[report[column.title] for column in COLUMNS]])
    return ExitCode.OK if report["outcome"] == "succeeded" else ExitCode.WORLD


async def _event(configuration: Configuration, failure: FailureRecord, function: str | None, force: bool) -> Replay:  # noqa: FBT001
    mapping = mapping_of(configuration, failure, function)
    if failure.payload is not None:
        return Replay(mapping=mapping, event=Payload.of_bytes(failure.payload))
    _require_rebuildable(mapping, failure)
    async with Clients() as clients:
        role = next(f.role for f in configuration.functions if f.function_name == mapping.function.name)
        source = replayed_source(mapping, clients, role_arn=role)
        return Replay(mapping=mapping, event=await rebuilt(mapping, failure, source, force=force))


async def rebuilt(mapping: StreamMapping, failure: FailureRecord, source: StreamSource, *, force: bool) -> Payload:
    """The event as it was, from the records that the stream still has. Raises `CommandError`."""
    accepts = compile_stream_filters(mapping.filter_patterns, mapping.stream.service)
    factor = mapping.parallelization_factor
    records = await failed_records(source, failure.range, accepts=accepts, factor=factor)
    if len(records) != failure.range.count and not force:
        raise CommandError(
            f"{len(records)} records are found where {failure.range.count} were given up: the mapping's filters or its "
            "ParallelizationFactor were others then. --force replays what is found (--dry-run shows it)"
        )
    return stream_event(records, None)


def replayed_source(mapping: StreamMapping, clients: Clients, *, role_arn: str | None) -> StreamSource:
    """The stream, by polling: a subscription would end that of a running broker. Its events are the mapping's."""
    arn, clock = mapping.event_source_arn, SystemClock()
    if mapping.stream.service is StreamService.DYNAMODB:
        return DynamoDbStreamSource(arn=arn, clients=clients, clock=clock)
    return KinesisStreamSource(arn=arn, clients=clients, clock=clock, role_arn=role_arn, is_polled=True)


def mapping_of(configuration: Configuration, failure: FailureRecord, function: str | None) -> StreamMapping:
    """The mapping that gave the records up, with the function that is to be invoked. Raises `ConfigurationError`."""
    stream = _stream_of(failure)
    known = {each.function_name for each in configuration.functions}
    streams = [each for each in configuration.event_source_mappings if isinstance(each, StreamMapping)]
    found = [mapping for mapping in streams if mapping.stream.stream_arn == stream.stream_arn]
    if not found:
        shown = ", ".join(title_of(mapping) for mapping in streams) or "none of a stream"
        raise ConfigurationError(f"no mapping of the file reads {stream.stream_arn}; it has {shown}")
    name = function or failure.function.name
    if name not in known:
        raise ConfigurationError(
            f"the file has no function {name!r}: --function names one of {', '.join(sorted(known))}"
        )
    mine = next((mapping for mapping in found if mapping.function.name == failure.function.name), found[0])
    return mine if mine.function.name == name else mine.model_copy(update={"function_name": name})


def _stream_of(failure: FailureRecord) -> StreamReference:
    try:
        return StreamReference.parse(failure.stream_arn)
    except ValueError as error:
        raise ConfigurationError(f"the record's streamArn names no stream: {error}") from error


def _require_rebuildable(mapping: StreamMapping, failure: FailureRecord) -> None:
    if mapping.tumbling_window_in_seconds or not failure.range.first:
        raise CommandError(
            "the batch was one of a tumbling window, whose state the failure record does not have: only a failure "
            "record with its payload (from S3) can be replayed"
        )


async def _replay(
    configuration: Configuration,
    failure: FailureRecord,
    function: str | None,
    force: bool,  # noqa: FBT001 - anyio.run passes it
) -> dict[str, Any]:
    replayed = await _event(configuration, failure, function, force)
    invocation = invocation_of(configuration, replayed)
    functions = {each.function_name: each for each in configuration.functions}
    executors = Executors(functions, surroundings())
    async with AsyncExitStack() as stack:
        await executors.open([replayed.mapping], stack)
        began_at = monotonic()
        with redirect_stdout(sys.stderr):  # what the handler prints is not this command's answer
            result = await executors.of(replayed.mapping).invoke(invocation)
        seconds = monotonic() - began_at
    return report_of(replayed, invocation, result, seconds=seconds)


def invocation_of(configuration: Configuration, replayed: Replay) -> Invocation:
    """One call of the function, outside of any lease."""
    name = replayed.mapping.function.name
    function = next(each for each in configuration.functions if each.function_name == name)
    target = target_of(replayed.mapping, function, configuration.broker)
    return Invocation(
        request_id=str(uuid4()),
        payload=replayed.event,
        function_name=target.function_name,
        function_arn=target.function_arn,
        function_version=target.function_version,
        memory_limit_in_mb=target.memory_limit_in_mb,
        timeout_seconds=target.timeout_seconds,
    )


def report_of(replayed: Replay, invocation: Invocation, result: InvocationResult, *, seconds: float) -> dict[str, Any]:
    """How it ended."""
    identifiers = _identifiers(replayed.event)
    outcome, detail, failures = _judged(replayed.mapping, result, identifiers)
    return {
        "outcome": outcome,
        "function": invocation.function_name,
        "request_id": invocation.request_id,
        "records": len(identifiers),
        "seconds": round(seconds, 3),
        "detail": detail,
        "batch_item_failures": failures,
    }


def _judged(mapping: StreamMapping, result: InvocationResult, identifiers: list[str]) -> tuple[str, str, list[str]]:
    match result:
        case Succeeded() if mapping.reports_batch_item_failures:
            return _judged_response(result.response, identifiers)
        case Succeeded():
            return "succeeded", "", []
        case HandlerFailed():
            return "failed", f"{result.error_type}: {result.message}", []
        case TimedOut():
            return "timed out", result.message, []
        case Throttled():
            return "throttled", result.message, []
        case Unavailable():
            return "unavailable", result.message, []


def _judged_response(response: Payload, identifiers: list[str]) -> tuple[str, str, list[str]]:
    failed = failed_identifiers(response, frozenset(identifiers))
    if failed is None:
        return "failed", "the response is no valid batchItemFailures", []
    listed = sorted(failed, key=identifiers.index)
    return ("failed", f"batchItemFailures: {', '.join(listed)}", listed) if failed else ("succeeded", "", [])


def _identifiers(event: Payload) -> list[str]:
    """What responses name the event's records by; none where the payload is no event."""
    try:
        records = orjson.loads(event.bytes)["Records"]
        return [(each.get("kinesis") or each["dynamodb"])[_number_of(each)] for each in records]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return []


def _number_of(record: dict[str, Any]) -> str:
    return "sequenceNumber" if "kinesis" in record else "SequenceNumber"
