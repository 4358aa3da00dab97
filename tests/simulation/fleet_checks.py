"""What must hold of every simulated fleet. Each check returns what is wrong; none of them asks a broker.

Definitions:
* A record is *settled* when a handler's answer says so, or when the broker has said that it is given up. An attempt
  that failed settles nothing.
* An *epoch* of a shard lasts from the write that names it in the lease's row to the next one. Everything that starts
  under one carries its number.
* A worker's *trust* ends three quarters of the lease duration after it sent the last write of its row that took effect.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from broker.testing.stream_history import StreamHappening
from tests.simulation.fleet_ledger import Call, Departure, Ledger, Put, Written
from tests.simulation.fleet_plan import LEASE_SECONDS
from tests.simulation.fleet_world import World

TRUST_SECONDS = LEASE_SECONDS * 3 / 4
TAKE_OVER_SECONDS = LEASE_SECONDS + 2.0
HAND_OVER_SECONDS = 1.0
_TOLERANCE = 0.001
"""Instants are sums of floats."""
_UNNOTICED_SECONDS = 31.0
"""After which the owner of a lease that was stolen must have noticed: it reads all leases every 30 s."""

Key = tuple[str, int]
"""A shard and an epoch."""


def violations(world: World) -> list[str]:
    """Everything that is wrong."""
    return [*world.ledger.violations, *(wrong for check in _CHECKS for wrong in check(world))]


# ---- records


def nothing_is_lost(world: World) -> Iterator[str]:
    """Every record that the mapping asks for was handled or given up, or left the stream and was reported."""
    trimmed = world.trimmed_numbers()
    for put in world.unsettled():
        reported = [lost for _, lost in world.ledger.lost if _is_within(put, lost.shard, lost.after, lost.before)]
        if put.number not in trimmed:
            yield f"{put.number} of {put.shard} is neither handled nor given up, and still in the stream"
        elif not reported:
            yield f"{put.number} of {put.shard} was trimmed unread, and nobody said so"


def _is_within(put: Put, shard: str, after: str, before: str) -> bool:
    first = int(after) if after.isdigit() else -1
    return put.shard == shard and first < put.number and (not before or put.number < int(before))


def nothing_is_reported_lost_that_was_not_trimmed(world: World) -> Iterator[str]:
    """A certain loss names a shard of which the stream has forgotten something."""
    happenings = (StreamHappening.TRIMMED, StreamHappening.FORGOTTEN)
    forgotten = {entry.shard_id for entry in world.stream.history if entry.what in happenings}
    for _, lost in world.ledger.lost:
        if lost.is_certain and lost.shard not in forgotten:
            yield f"{lost} although nothing of the shard was trimmed"


def handlers_see_only_what_passes(world: World) -> Iterator[str]:
    """No filter lets through what it should not."""
    for call in world.ledger.calls:
        if any(not put.passes for put in call.records):
            yield f"a handler got a record that the filter holds back: {[put.number for put in call.records]}"


# ---- order


def no_record_starts_before_its_predecessor_is_settled(world: World) -> Iterator[str]:
    """Per key, over all shards, epochs and brokers."""
    previous, trimmed = _previous(world), world.trimmed_numbers()
    for call in world.ledger.calls:
        together: set[int] = set()
        for put in call.records:
            before = previous.get(put.number)
            is_open = before and before.number not in together and not _is_settled_by(before, call.tick)
            if before and is_open and world.is_required(before) and before.number not in trimmed:
                yield f"{put.number} of {put.key} started under {call.epoch} before {before.number} was settled"
            together.add(put.number)


def _is_settled_by(put: Put, tick: int) -> bool:
    return put.settled_tick is not None and put.settled_tick < tick


def _previous(world: World) -> dict[int, Put]:
    """The record before each one, of the same key, among those that the filter lets pass."""
    last: dict[str, Put] = {}
    previous: dict[int, Put] = {}
    for put in world.ledger.puts.values():
        if put.passes:
            if put.key in last:
                previous[put.number] = last[put.key]
            last[put.key] = put
    return previous


def an_epoch_goes_strictly_forward(world: World) -> Iterator[str]:
    """Within one epoch nothing starts again that was settled under it, and no key runs twice at once."""
    for (shard, epoch), calls in _by_epoch(world.ledger).items():
        settled: dict[int, int] = {}
        for given_up in world.ledger.given_up:
            if (given_up.shard, given_up.epoch) == (shard, epoch):
                settled.update((put.number, given_up.tick) for put in given_up.records)
        open_: list[Call] = []
        for call in calls:
            numbers = {put.number for put in call.records}
            keys = {put.key for put in call.records}
            open_ = [each for each in open_ if each.ended_tick is None or each.ended_tick > call.tick]
            if again := [number for number in numbers if settled.get(number, call.tick) < call.tick]:
                yield f"{again} of {shard} started again under epoch {epoch}, which had settled it"
            if any(keys.intersection(put.key for put in each.records) for each in open_):
                yield f"two batches of one key ran at once under epoch {epoch} of {shard}"
            open_.append(call)
            settled.update((put.number, call.ended_tick or call.tick) for put in call.settled)


def _by_epoch(ledger: Ledger) -> dict[Key, list[Call]]:
    found: defaultdict[Key, list[Call]] = defaultdict(list)
    for call in ledger.calls:
        found[call.shard, call.epoch].append(call)
    return found


def an_epoch_begins_at_the_checkpoint(world: World) -> Iterator[str]:
    """What its first write found settled never starts under an epoch; the first of a key to start follows that."""
    fences = {(each.shard, each.epoch): each for each in world.ledger.written if each.is_fence}
    previous, trimmed = _previous(world), world.trimmed_numbers()
    for (shard, epoch), calls in _by_epoch(world.ledger).items():
        fence = fences.get((shard, epoch))
        if fence is None or fence.tick > calls[0].tick:
            yield f"epoch {epoch} of {shard} started something before the checkpoint was its own"
            continue
        seen_keys: set[str] = set()
        given_up = {p.number for g in world.ledger.given_up if (g.shard, g.epoch) == (shard, epoch) for p in g.records}
        for call in calls:
            for put in call.records:
                if fence.covers(put):
                    yield f"{put.number} of {shard} started under epoch {epoch}, and its checkpoint had it settled"
                before = previous.get(put.number)
                if put.key not in seen_keys and before is not None and before.shard == shard:
                    is_over = fence.covers(before) or before.number in given_up or before.number in trimmed
                    if not is_over and world.is_required(before):
                        yield f"epoch {epoch} of {shard} began with {put.number} and not with {before.number}"
                seen_keys.add(put.key)


# ---- leases


def nothing_starts_beyond_trust(world: World) -> Iterator[str]:
    """Whoever starts something is the owner, and has written its row less than three quarters of a lease ago."""
    owners = {(each.shard, each.epoch): each for each in world.ledger.owned}
    for call in world.ledger.calls:
        owned = owners.get((call.shard, call.epoch))
        if owned is None or not owned.owner.startswith(f"{call.process}-"):
            yield f"{call.process} started {call.shard} under epoch {call.epoch}, which is {owned and owned.owner}'s"
            continue
        beats = world.ledger.beats[owned.owner]
        index = bisect_right(beats, call.started_at)
        if not index or call.started_at >= beats[index - 1] + TRUST_SECONDS + _TOLERANCE:
            yield f"{call.process} started {call.shard} at {call.started_at}, having beaten at {beats[:index][-1:]}"


def an_old_epoch_starts_nothing(world: World) -> Iterator[str]:
    """Once a later epoch has its checkpoint, an older one starts nothing: unless its lease was stolen just now."""
    fenced = _later_fences(world.ledger)
    stolen = {(each.shard, each.epoch - 1): each.at for each in world.ledger.owned if each.is_stolen}
    for call in world.ledger.calls:
        later = fenced.get((call.shard, call.epoch))
        if later is None or later.tick > call.tick:
            continue
        stolen_at = stolen.get((call.shard, call.epoch))
        if stolen_at is None or call.started_at > stolen_at + _UNNOTICED_SECONDS:
            yield f"epoch {call.epoch} of {call.shard} started something after epoch {later.epoch} had begun"


def _later_fences(ledger: Ledger) -> dict[Key, Written]:
    """For each epoch of a shard the first fence of a later one."""
    found: dict[Key, Written] = {}
    for fence in ledger.written:
        if fence.is_fence:
            for epoch in range(fence.epoch - 1, -1, -1):
                if (fence.shard, epoch) in found:
                    break
                found[fence.shard, epoch] = fence
    return found


def an_ordered_take_over_overlaps_nothing(world: World) -> Iterator[str]:
    """With `TakeOver: ordered` who takes an expired lease waits out the running batch."""
    if not world.plan.waits_out_expired:
        return
    stolen = {each.shard for each in world.ledger.owned if each.is_stolen}
    calls: defaultdict[str, list[Call]] = defaultdict(list)
    for call in world.ledger.calls:
        for other in calls[call.shard]:
            is_open = other.ended_tick is None or other.ended_tick > call.tick
            if other.epoch < call.epoch and is_open and call.shard not in stolen:
                yield f"epoch {call.epoch} of {call.shard} overlaps a batch of epoch {other.epoch}"
        calls[call.shard].append(call)


# ---- after the end


def ended_brokers_leave_no_row(world: World) -> Iterator[str]:
    """Whoever drained has removed its row, and whoever crashed was evicted."""
    if workers := world.store.rows.workers():
        yield f"rows of workers that have ended: {sorted(workers)}"


def a_drain_leaves_nothing_to_repeat(world: World) -> Iterator[str]:
    """After the last drain the checkpoints pass every settled record."""
    last = {each.shard: each for each in world.ledger.written}
    for shard in world.ledger.shards:
        end = last.get(shard)
        if end is None or end.is_finished:
            continue
        if left := [put.number for put in world.ledger.of_shard(shard) if put.settled_tick and not end.covers(put)]:
            yield f"{left} of {shard} are settled, and the last checkpoint does not say so"


# ---- how long it takes, and how much is repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One lease that went from an owner that left to the next one."""

    departure: Departure
    shard: str
    epoch: int
    """Of the one who left."""
    seconds: float
    """From the crash, or from the end of the last handler of a drain, to the new owner's fence."""
    is_calm: bool
    """Whether nothing else befell the fleet, and somebody was there to take it."""


def changes(world: World) -> list[Change]:
    """All leases that had to find another owner."""
    later = _later_fences(world.ledger)
    calls = _by_epoch(world.ledger)
    found = []
    for departure in world.ledger.departures:
        for shard, epoch in departure.leases:
            fence = later.get((shard, epoch))
            if fence is None or fence.tick < departure.tick:
                continue
            ended = [
                call.ended_at or 0.0
                for call in calls.get((shard, epoch), ())
                if (call.ended_tick or 0) > departure.tick
            ]
            begins_at = departure.at if departure.is_crash else max([departure.at, *ended])
            found.append(
                Change(
                    departure=departure,
                    shard=shard,
                    epoch=epoch,
                    seconds=fence.at - begins_at,
                    is_calm=_is_calm(world, departure, fence),
                )
            )
    return found


def _is_calm(world: World, departure: Departure, fence: Written) -> bool:
    """Nothing but the departure itself, from shortly before it to what it led to; and somebody else was there."""
    if not departure.others:
        return False
    others = [
        each
        for each in world.ledger.disturbances
        if each.begins_at < fence.at + _TOLERANCE and each.ends_at > departure.at - LEASE_SECONDS
    ]
    return all(each.who == departure.process and each.what in {"crash", "drain"} for each in others)


def leases_change_hands_in_time(world: World) -> Iterator[str]:
    """After a crash within the lease duration and two seconds, after a drain within one."""
    for change in changes(world):
        limit = TAKE_OVER_SECONDS if change.departure.is_crash else HAND_OVER_SECONDS
        if change.is_calm and change.seconds > limit + 2 * world.plan.store_seconds:
            what = "crash" if change.departure.is_crash else "drain"
            yield f"{change.shard} found an owner {change.seconds:.2f} s after the {what} of {change.departure.process}"


def repeated(world: World) -> dict[Key, list[Put]]:
    """For each epoch that ended, the settled records that a later one began again."""
    settled: dict[int, tuple[int, int]] = {}
    found: defaultdict[Key, list[Put]] = defaultdict(list)
    for call in world.ledger.calls:
        for put in call.records:
            at = settled.get(put.number)
            if at is not None and at[0] < call.epoch and at[1] < call.tick:
                found[call.shard, at[0]].append(put)
                del settled[put.number]
        for put in call.settled:
            settled[put.number] = (call.epoch, call.ended_tick or call.tick)
    return dict(found)


def only_what_was_not_written_is_repeated(world: World) -> Iterator[str]:
    """A settled record starts again only if no write of its epoch that was sent afterwards took effect."""
    writes: defaultdict[Key, list[Written]] = defaultdict(list)
    for each in world.ledger.written:
        writes[each.shard, each.epoch].append(each)
    ended = {(call.shard, call.epoch, put.number): call for call in world.ledger.calls for put in call.settled}
    for (shard, epoch), puts in repeated(world).items():
        last = writes[shard, epoch][-1] if writes[shard, epoch] else None
        for put in puts:
            call = ended[shard, epoch, put.number]
            if last is not None and last.covers(put):
                yield f"{put.number} of {shard} started again although epoch {epoch} had written it"
            late = (
                last is not None and (call.ended_tick or 0) < last.sent_tick and (call.ended_at or 0.0) < last.at - 0.1
            )
            if late and world.ledger.is_calm((call.ended_at or 0.0) - 30, (call.ended_at or 0.0) + 5):
                yield f"{put.number} of {shard} was settled before the last write of epoch {epoch}, which left it out"


def a_graceful_hand_over_repeats_nothing(world: World) -> Iterator[str]:
    """Where an owner gave its lease in time, the next one begins nothing again."""
    given = {(each.shard, each.epoch - 1) for each in world.ledger.owned if not each.is_taken and not each.is_stolen}
    crashed = {key for each in world.ledger.departures if each.is_crash for key in each.leases}
    for key, puts in repeated(world).items():
        if key in given and key not in crashed and _is_undisturbed(world, key):
            yield f"{len(puts)} records of {key} were repeated after a hand-over"


def _is_undisturbed(world: World, key: Key) -> bool:
    given_at = next(each.at for each in world.ledger.owned if (each.shard, each.epoch - 1) == key)
    return world.ledger.is_calm(given_at - 60, given_at)


_CHECKS: tuple[Callable[[World], Iterable[str]], ...] = (
    nothing_is_lost,
    nothing_is_reported_lost_that_was_not_trimmed,
    handlers_see_only_what_passes,
    no_record_starts_before_its_predecessor_is_settled,
    an_epoch_goes_strictly_forward,
    an_epoch_begins_at_the_checkpoint,
    nothing_starts_beyond_trust,
    an_old_epoch_starts_nothing,
    an_ordered_take_over_overlaps_nothing,
    ended_brokers_leave_no_row,
    a_drain_leaves_nothing_to_repeat,
    leases_change_hands_in_time,
    only_what_was_not_written_is_repeated,
    a_graceful_hand_over_repeats_nothing,
)
