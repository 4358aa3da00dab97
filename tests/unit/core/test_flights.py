import pytest

from broker.core.flights import Flight, Flights
from broker.core.group_locks import GroupLocks
from broker.model.batch import Batch, BatchTrigger
from tests.unit.core.records import record


def start(flights: Flights, *records) -> Flight:
    batch = Batch(number=flights.next_number(), records=records, trigger=BatchTrigger.AVAILABLE)
    flight = Flight(batch=batch, started_at=0.0)
    flights.start(flight)
    return flight


def test_batches_are_counted_from_one():
    flights = Flights(GroupLocks())

    assert [start(flights, record(name)).batch.number for name in "abc"] == [1, 2, 3]
    assert (flights.batch_count, flights.record_count, len(flights)) == (3, 3, 3)


def test_a_flight_holds_the_groups_of_its_records_until_it_ends():
    locks = GroupLocks()
    flights = Flights(locks)
    flight = start(flights, record("a", group="g"), record("b", group="h"))
    held = locks.is_locked("g"), locks.is_locked("h")
    flights.end(flight)

    assert held == (True, True)
    assert not locks.is_locked("g")
    assert flights.record_count == 0


def test_a_record_in_flight_takes_the_newest_receipt():
    flights = Flights(GroupLocks())
    flight = start(flights, record("a"), record("b"))

    assert flights.replace(record("a", receives=3))
    assert flights.replace(record("a", receives=2))
    assert [each.receipt for each in flights.newest(flight.batch.records)] == ["a/3", "b/1"]


def test_a_record_that_is_not_in_flight_is_not_replaced():
    flights = Flights(GroupLocks())
    start(flights, record("a"))

    assert not flights.replace(record("b"))
    assert flights.has_none_of({"b"})
    assert not flights.has_none_of({"a"})


def test_a_flight_is_due_when_its_instant_has_come():
    flights = Flights(GroupLocks())
    flight = start(flights, record("a"))
    nothing = flights.due(5.0)
    flights.schedule(flight, 5.0)

    assert nothing == []
    assert flights.due(4.9) == []
    assert flights.due(5.0) == [flight]
    assert list(flights.deadlines) == [5.0]


@pytest.mark.parametrize("forget", [lambda flights, flight: flights.schedule(flight, None), Flights.end])
def test_a_flight_that_ended_or_waits_for_nothing_is_never_due(forget):
    flights = Flights(GroupLocks())
    flight = start(flights, record("a"))
    flights.schedule(flight, 5.0)
    forget(flights, flight)

    assert flights.due(9.0) == []
    assert list(flights.deadlines) == []


def test_stuck_flights_are_counted():
    flights = Flights(GroupLocks())
    start(flights, record("a")).overdue_since = 3.0
    start(flights, record("b"))

    assert flights.stuck_count == 1


def test_flights_may_end_while_they_are_looked_through():
    flights = Flights(GroupLocks())
    for name in "abc":
        start(flights, record(name))
    for flight in flights:
        flights.end(flight)

    assert len(flights) == 0
