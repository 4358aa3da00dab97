from broker.core.events import Tell
from broker.core.journal import Ending, Journal
from broker.core.settlement import Outcome
from broker.model import observation as seen
from broker.model.batch import Batch, BatchTrigger, Reason
from broker.model.record import Failure
from tests.unit.core.records import records


class Book:
    """A journal and what it told."""

    def __init__(self) -> None:
        self.actions = []
        self.journal = Journal(self.actions)

    def told(self, kind):
        return [action.observation for action in self.actions if isinstance(action.observation, kind)]


BATCH = Batch(number=7, records=tuple(records("abc")), trigger=BatchTrigger.SIZE, attempt=2)


def outcome(**fields) -> Outcome:
    return Outcome(**{"deleted_count": 0, "failed_count": 0, "abandoned_count": 0, "detail": "", **fields})


def test_what_is_told_is_an_action():
    book = Book()
    book.journal.tell(seen.SourceRecovered())

    assert book.actions == [Tell(observation=seen.SourceRecovered())]


def test_a_receive_is_counted_and_told():
    book = Book()
    book.journal.received(count=10, filtered=3, known=2)
    counts = book.journal.counts

    assert (counts.polled, counts.filtered, counts.known) == (10, 3, 2)
    assert book.told(seen.PageReceived) == [seen.PageReceived(count=10, filtered_count=3, known_count=2)]


def test_a_mapping_whose_first_hundred_messages_are_all_filtered_away_says_so_once():
    book = Book()
    for _ in range(30):
        book.journal.received(count=10, filtered=10, known=0)

    assert book.told(seen.EverythingFiltered) == [seen.EverythingFiltered(count=100)]


def test_one_message_of_the_first_hundred_that_passed_is_enough():
    book = Book()
    book.journal.received(count=10, filtered=9, known=0)
    for _ in range(30):
        book.journal.received(count=10, filtered=10, known=0)

    assert book.told(seen.EverythingFiltered) == []


def test_messages_that_were_known_prove_nothing_about_the_filter():
    book = Book()
    for _ in range(10):
        book.journal.received(count=10, filtered=9, known=1)
    early = book.told(seen.EverythingFiltered)
    book.journal.received(count=10, filtered=10, known=0)

    assert early == []
    assert book.told(seen.EverythingFiltered) == [seen.EverythingFiltered(count=100)]


def test_each_attempt_counts_its_records_as_invoked():
    book = Book()
    book.journal.invoked(BATCH)

    assert book.journal.counts.invoked == 3
    assert book.told(seen.BatchInvoked) == [
        seen.BatchInvoked(batch=7, attempt=2, count=3, size_bytes=BATCH.size_bytes, trigger=BatchTrigger.SIZE)
    ]


def test_a_settled_batch_tells_what_was_acknowledged_and_what_comes_again():
    book = Book()
    book.journal.settled(BATCH, Ending(Reason.HANDLER_FAILED, "Error: no"), retried=2, duration_seconds=1.5)
    told = book.told(seen.BatchSettled)[0]

    assert (told.acked_count, told.retried_count, told.duration_seconds) == (1, 2, 1.5)
    assert book.journal.counts.failed == 2
    assert book.journal.last_result == "handler_failed: Error: no"


def test_a_result_without_detail_is_its_reason():
    book = Book()
    book.journal.settled(BATCH, Ending(Reason.SUCCEEDED), retried=0, duration_seconds=0.1)

    assert book.journal.last_result == "succeeded"


def test_a_throttled_batch_counts_as_failed_and_is_told():
    book = Book()
    book.journal.deferred(BATCH, Reason.THROTTLED, "Rate exceeded", 1.5)

    assert book.journal.counts.failed == 3
    assert book.told(seen.InvocationDeferred)[0].delay_seconds == 1.5
    assert book.journal.last_result == "throttled: Rate exceeded"


def test_records_let_go_are_counted_with_why():
    book = Book()
    book.journal.let_go(records("ab"), "drain")
    book.journal.let_go([], "drain")

    assert book.journal.counts.let_go == 2
    assert book.told(seen.RecordsLetGo) == [seen.RecordsLetGo(count=2, why="drain")]


def test_a_delete_tells_what_failed_and_what_was_given_up():
    book = Book()
    book.journal.deleted(outcome(deleted_count=8, failed_count=2, abandoned_count=1, detail="odd"))

    assert book.journal.counts.deleted == 8
    assert book.told(seen.RecordsDeleted) == [seen.RecordsDeleted(count=8, failed_count=2, detail="odd")]
    assert book.told(seen.DeleteAbandoned) == [seen.DeleteAbandoned(count=1, detail="odd")]


def test_a_delete_that_worked_gives_nothing_up():
    book = Book()
    book.journal.deleted(outcome(deleted_count=10))

    assert book.told(seen.DeleteAbandoned) == []


def test_a_change_of_visibility_is_told_where_it_failed():
    book = Book()
    book.journal.visibility_changed({})
    book.journal.visibility_changed({"a": Failure(code="Odd", message="no"), "b": Failure(code="Odd")})

    assert book.told(seen.VisibilityChangeFailed) == [seen.VisibilityChangeFailed(count=2, detail="Odd: no")]


def test_a_problem_of_the_queue_is_shown_until_it_can_be_read():
    book = Book()
    book.journal.source_failed("away", 1.5)
    shown = book.journal.problem
    book.journal.source_recovered()
    book.journal.source_recovered()

    assert (shown, book.journal.problem) == ("away", "")
    assert len(book.told(seen.SourceRecovered)) == 1


def test_an_open_circuit_is_a_problem_that_a_readable_queue_does_not_end():
    book = Book()
    book.journal.circuit_opened(60.0, "nobody listens")
    book.journal.source_failed("away", 1.5)
    book.journal.source_recovered()
    shown = book.journal.problem
    book.journal.circuit_closed()

    assert shown == "The circuit is open: nobody listens"
    assert book.journal.problem == ""
    assert book.told(seen.CircuitOpened) == [seen.CircuitOpened(pause_seconds=60.0, detail="nobody listens")]
    assert len(book.told(seen.CircuitClosed)) == 1
