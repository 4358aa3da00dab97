"""Reads a Kinesis shard by enhanced fan-out: a subscription pushes what the shard takes in, up to 2 MB a second.

A subscription lasts five minutes; the reader subscribes anew behind what it has read. Kinesis refuses to subscribe the
same consumer to the same shard within five seconds of the last success, so the reader waits them out; where it is
refused nevertheless (the worker that had the shard before has subscribed to it lately) it waits once more before it
says so. Back-pressure is to not read: what Kinesis pushes then waits in the connection.

While nothing comes, `read` returns an empty page every few seconds. Events carry no time of the service: it is that of
the subscription's answer, and what has elapsed since.

Source: Amazon Kinesis Data Streams API Reference, SubscribeToShard and SubscribeToShardEvent (read November 2026).
Aggregates of the Kinesis Producer Library are taken apart here and left alone when polling, as observed.
"""

from dataclasses import replace
from typing import Any

import anyio

from broker.aws.event_stream import EventStream
from broker.errors import ShardReadError, SourceError
from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, Page, Position
from broker.ports import Clock
from broker.sources.kinesis_aggregate import expanded
from broker.sources.kinesis_api import KinesisApi
from broker.sources.kinesis_faults import RESOURCE_IN_USE, iterator_missing
from broker.sources.kinesis_pages import Slices, children_of
from broker.sources.kinesis_record import ShardOrigin
from broker.sources.server_time import server_time

_OPERATION = "SubscribeToShard"
_EVENT = "SubscribeToShardEvent"
QUIET_SECONDS = 3.0
"""How long a read waits for something to come."""
APART_SECONDS = 5.0
"""Between two subscriptions to a shard: Kinesis's rule."""
_SILENCE_SECONDS = 60.0
"""A subscription without any event for so long is dead: Kinesis sends one every few seconds, records or not."""


class FanOutReader:
    """Reads one shard. For one task at a time."""

    def __init__(self, *, origin: ShardOrigin, api: KinesisApi, clock: Clock) -> None:
        self._origin = origin
        self._api = api
        self._clock = clock
        self._place: Position | None = None
        """Where the next subscription begins."""
        self._events: EventStream | None = None
        self._rest: Slices | None = None
        """What is left of the last event."""
        self._subscribe_at = float("-inf")
        self._was_refused = False
        self._server_ahead_seconds = 0.0
        self._behind_ms: int | None = None

    async def read(self, position: Position | None, *, maximum_count: int) -> Page:  # noqa: ARG002 - it is pushed
        """The next part of the last event, or the next event; an empty page if none comes. Raises `ShardReadError`."""
        if position is not None:
            await self.aclose()
            self._place = position
        if self._rest is None:
            event = await self._next_event()
            if event is None:
                # Between two subscriptions nobody knows of the shard's tip: the page must not say that this is it.
                return replace(self._nothing(), has_more=self._events is None)
            with self._api.reading(_OPERATION, self._origin.shard_id):
                self._rest = self._taken(event)
        return self._next_page(self._rest)

    async def aclose(self) -> None:
        """Ends the subscription."""
        self._unsubscribe()
        self._rest = None
        self._place = None

    # ---- the subscription

    async def _next_event(self) -> dict[str, Any] | None:
        if self._place is None:
            raise iterator_missing(self._api.call(_OPERATION, self._origin.shard_id))
        events = self._events or await self._subscribed(self._place)
        if events is None:
            return None
        with anyio.move_on_after(QUIET_SECONDS):
            return await self._heard(events)
        return None

    async def _heard(self, events: EventStream) -> dict[str, Any] | None:
        """The next event that is about the shard; None where the subscription has ended."""
        try:
            while (event := await events.next()) and event.kind != _EVENT:
                pass
        except SourceError as error:
            self._unsubscribe()
            self._raise_unless_early(self._api.fault(error, _OPERATION, self._origin.shard_id))
            return None
        if event is None:
            self._unsubscribe()
            return None
        self._was_refused = False
        return event.value

    async def _subscribed(self, place: Position) -> EventStream | None:
        """A new subscription; None while it is too early for one."""
        pause = self._subscribe_at - self._clock.now()
        if pause > 0:
            await anyio.sleep(min(pause, QUIET_SECONDS))
        if pause > QUIET_SECONDS:
            return None
        try:
            events = await self._api.subscribe(self._origin.shard_id, place, silence_seconds=_SILENCE_SECONDS)
        except ShardReadError as fault:
            self._raise_unless_early(fault)
            return None
        finally:
            self._subscribe_at = self._clock.now() + APART_SECONDS
        self._events = events
        now = self._clock.now()
        self._server_ahead_seconds = server_time(sent_at=events.sent_at, now=now) - now
        return events

    def _raise_unless_early(self, fault: ShardReadError) -> None:
        """The first of several refusals in a row is only waited out."""
        is_early = fault.code == RESOURCE_IN_USE and not self._was_refused
        self._was_refused = is_early
        if not is_early:
            raise fault

    def _unsubscribe(self) -> None:
        if self._events:
            self._events.close()
        self._events = None

    # ---- pages

    def _taken(self, event: dict[str, Any]) -> Slices:
        """What an event brought; the next subscription begins behind it."""
        wire = event.get("Records") or ()
        children = children_of(event)
        last = wire[-1]["SequenceNumber"] if wire else None
        through = self._through(event, last)
        self._behind_ms = event.get("MillisBehindLatest")
        whole = replace(self._nothing(), is_last=bool(children), children=children, read_through=through)
        if number := through or last:
            self._place = AfterSequenceNumber(number=number)
        if children:
            self._unsubscribe()
            self._place = None
        return Slices(expanded(wire), self._origin, whole)

    def _next_page(self, rest: Slices) -> Page:
        with self._api.reading(_OPERATION, self._origin.shard_id):
            page = rest.next()
        self._rest = None if rest.is_used_up else rest
        return page

    def _through(self, event: dict[str, Any], last: str | None) -> str | None:
        """The event's `ContinuationSequenceNumber`, where it is beyond the last record.

        A shard's last event has none; emulators send zeros.
        """
        place = self._place
        known = last or (place.number if isinstance(place, AfterSequenceNumber | AtSequenceNumber) else "0")
        number = str(event.get("ContinuationSequenceNumber") or "")
        return number if number.isdecimal() and int(number) > int(known) else None

    def _nothing(self) -> Page:
        now = self._clock.now()
        return Page(records=(), read_at=now, server_at=now + self._server_ahead_seconds, behind_ms=self._behind_ms)
