"""What `strict` refuses to start with, and what it does not ask about."""

from typing import Any

import anyio
import pytest

from broker.cli.exits import broker_errors
from broker.errors import ConfigurationError, Mistake, ReadFault, ShardReadError, SourceError
from broker.testing import InMemoryQueueSource, InMemoryStreamSource
from tests.unit.composing.kit import composed, configured, reading

pytestmark = pytest.mark.anyio


class Refusing(InMemoryStreamSource):
    """A stream that cannot be described."""

    fault = ReadFault.OTHER
    message = "DescribeStreamSummary failed: no answer"

    async def describe(self) -> Any:
        raise ShardReadError(self.message, fault=self.fault)


class WithoutConsumer(Refusing):
    """A stream that is there, and has no such consumer."""

    fault = ReadFault.STREAM_GONE
    message = "Consumer viewer:1 of stream orders not found."


async def opened(composition: Any) -> None:
    async with composition.opened(strict=True):
        pass


async def mistakes_of(composition: Any) -> list[Mistake]:
    """What the user is told: of one error, or of a group that has been made of it."""
    with pytest.RaisesGroup(ConfigurationError, allow_unwrapped=True, flatten_subgroups=True) as caught:
        await opened(composition)
    errors = broker_errors(caught.value) or []
    return [mistake for error in errors if isinstance(error, ConfigurationError) for mistake in error.mistakes]


async def test_a_missing_stream_is_named_by_its_place_in_the_file(make_queue: Any, make_stream: Any) -> None:
    queue, stream = make_queue(), make_stream("clicks")
    stream.vanish()
    composition = composed(
        configured(reading(queue.arn), reading(stream.arn)),
        queues={queue.arn: InMemoryQueueSource(queue)},
        streams={stream.arn: InMemoryStreamSource(stream)},
    )
    (mistake,) = await mistakes_of(composition)
    assert mistake.path == "EventSourceMappings[1].EventSourceArn"
    assert mistake.message == "The stream does not exist."


async def test_everything_that_is_missing_is_named_at_once(make_queue: Any, make_stream: Any) -> None:
    queue, stream = make_queue(), make_stream()
    queue.vanish()
    stream.vanish()
    composition = composed(
        configured(reading(queue.arn), reading(stream.arn)),
        queues={queue.arn: InMemoryQueueSource(queue)},
        streams={stream.arn: InMemoryStreamSource(stream)},
    )
    assert [mistake.path for mistake in await mistakes_of(composition)] == [
        "EventSourceMappings[0].EventSourceArn",
        "EventSourceMappings[1].EventSourceArn",
    ]


async def test_a_consumer_that_its_stream_says_is_missing_is_named_too(make_stream: Any) -> None:
    source = WithoutConsumer(make_stream(), consumer="viewer")
    (mistake,) = await mistakes_of(composed(configured(reading(source.arn)), streams={source.arn: source}))
    assert mistake.message == "Consumer viewer:1 of stream orders not found."


async def test_a_stream_that_does_not_answer_is_no_mistake_of_the_file(make_stream: Any) -> None:
    source = Refusing(make_stream())
    with pytest.RaisesGroup(
        pytest.RaisesExc(SourceError, match="no answer"), allow_unwrapped=True, flatten_subgroups=True
    ):
        await opened(composed(configured(reading(source.arn)), streams={source.arn: source}))


async def test_the_error_comes_out_as_it_is_also_where_a_fleet_was_joined_before(make_stream: Any) -> None:
    stream = make_stream()
    stream.vanish()
    with pytest.raises(ConfigurationError):
        await opened(composed(configured(reading(stream.arn)), streams={stream.arn: InMemoryStreamSource(stream)}))


async def test_a_disabled_stream_is_not_asked_about(make_stream: Any) -> None:
    stream = make_stream()
    stream.vanish()
    mapping = reading(stream.arn, enabled=False)
    await opened(composed(configured(mapping), streams={stream.arn: InMemoryStreamSource(stream)}))


async def test_without_strict_a_missing_stream_shows_its_problem_and_disturbs_no_other(make_stream: Any) -> None:
    missing, present, handled = make_stream("missing"), make_stream("present"), []
    missing.vanish()

    async def handler(event: dict[str, Any], _context: Any) -> None:
        handled.extend(event["Records"])

    composition = composed(
        configured(reading(missing.arn), reading(present.arn), handler=handler),
        streams={stream.arn: InMemoryStreamSource(stream) for stream in (missing, present)},
    )
    async with composition.opened(strict=False) as supervisor, supervisor.running(10):
        present.put("a", b"hello")
        await anyio.sleep(10)
        unwell, well = supervisor.statuses()
    assert (unwell.healthy, well.healthy) == (False, True)
    assert "does not exist" in unwell.problem
    assert len(handled) == 1
