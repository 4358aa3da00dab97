"""The answer of an AWS JSON operation that goes on: events in AWS's binary framing, over plain HTTP.

Source: Smithy specification, "Amazon Event Stream Specification" (read November 2026); botocore's `EventStreamBuffer`
takes the frames apart and checks their checksums.
"""

from typing import Any, NamedTuple

import aiohttp
import orjson
from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError

from broker.aws.faults import Call, Refusal, service_fault, transport_fault, unreadable_fault


class StreamEvent(NamedTuple):
    """One event."""

    kind: str
    """AWS's name: `SubscribeToShardEvent`."""
    value: dict[str, Any]
    """The parsed payload: blobs are base64 text."""


class EventStream:
    """Events as they come. What is not read waits in a small buffer, then at the service."""

    def __init__(self, call: Call, response: aiohttp.ClientResponse, sent_at: float | None) -> None:
        """Takes `response` over, whose body has not been read. Made by `JsonEndpoint.open_stream`."""
        self.sent_at = sent_at
        """The service's time as it began to answer (`Date`, whole epoch seconds); None where it did not say."""
        self._call = call
        self._response = response
        self._frames = EventStreamBuffer()

    async def next(self) -> StreamEvent | None:
        """Waits for the next event; None where the service has ended the stream. May be cancelled without loss.

        Raises:
            SourceError: the connection broke, the service reported an error, or sent what is no event.
        """
        try:
            while (frame := next(self._frames, None)) is None:
                data = await self._response.content.readany()
                if not data:
                    return None
                self._frames.add_data(data)
        except (aiohttp.ClientError, OSError) as error:
            raise transport_fault(self._call, error) from error
        except ParserError as error:
            raise unreadable_fault(self._call) from error
        return self._event(frame)

    def close(self) -> None:
        """Ends the stream, and its connection."""
        self._response.close()

    def _event(self, frame: EventStreamMessage) -> StreamEvent:
        headers = frame.headers
        try:
            value = orjson.loads(frame.payload or b"{}")
        except orjson.JSONDecodeError as error:
            raise unreadable_fault(self._call) from error
        if not isinstance(value, dict):
            raise unreadable_fault(self._call)
        match headers.get(":message-type"):
            case "exception":
                raise service_fault(self._call, Refusal(headers.get(":exception-type", ""), _text(value)))
            case "error":
                refusal = Refusal(headers.get(":error-code", ""), headers.get(":error-message", ""))
                raise service_fault(self._call, refusal)
        return StreamEvent(headers.get(":event-type", ""), value)


def _text(members: dict[str, Any]) -> str:
    return str(members.get("message") or members.get("Message") or "")
