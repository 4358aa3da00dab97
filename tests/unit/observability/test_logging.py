from typing import get_args

import pytest
import structlog
from structlog.testing import CapturingLogger

from broker.model.batch import BatchTrigger, Reason
from broker.model.observation import (
    BatchInvoked,
    BatchSettled,
    EverythingFiltered,
    MappingFailed,
    Observation,
    PageReceived,
    SourceProblem,
)
from broker.observability.logging import DETAIL_LIMIT, EVENTS, INFO, LogObserver, event_of, fields_of

UUID = "5f8b6b0e-4a0a-5c9b-9d5e-0c2a7a3f1f11"


def settled(**changes: object) -> BatchSettled:
    fields = {
        "batch": 7,
        "attempt": 2,
        "reason": Reason.SUCCEEDED,
        "acked_count": 9,
        "retried_count": 1,
        "duration_seconds": 0.1234567891,
    }
    return BatchSettled(**{**fields, **changes})


class Log:
    def __init__(self, level: int = INFO) -> None:
        self.capturing = CapturingLogger()
        self.logger = structlog.wrap_logger(
            self.capturing,
            wrapper_class=structlog.make_filtering_bound_logger(level),
            processors=[structlog.stdlib.add_log_level, lambda _logger, _method, event: ((), event)],
        )

    @property
    def events(self) -> list[dict[str, object]]:
        return [call.kwargs for call in self.capturing.calls]


def test_a_settled_batch_is_one_event_with_its_fields() -> None:
    log = Log()
    LogObserver(log.logger).observe(UUID, settled())
    assert log.events == [
        {
            "event": "batch.settled",
            "level": "info",
            "mapping": UUID,
            "batch": 7,
            "attempt": 2,
            "reason": "succeeded",
            "acked_count": 9,
            "retried_count": 1,
            "duration_seconds": 0.123457,
        }
    ]


FAILED = settled(reason=Reason.HANDLER_FAILED, detail="ValueError: invalid literal for int(): 'swordfish'")


def test_a_failed_batch_is_a_warning_with_the_type_of_the_error_and_not_what_it_quotes() -> None:
    log = Log()
    LogObserver(log.logger).observe(UUID, FAILED)
    assert (log.events[0]["level"], log.events[0]["error_type"]) == ("warning", "ValueError")
    assert "swordfish" not in repr(log.events)


def test_what_an_error_says_is_written_where_asked_for() -> None:
    log = Log()
    LogObserver(log.logger, with_error_messages=True).observe(UUID, FAILED)
    assert log.events[0]["error_type"] == "ValueError"
    assert log.events[0]["detail"] == FAILED.detail


def test_what_the_broker_itself_says_of_a_failure_is_written() -> None:
    assert fields_of(settled(reason=Reason.TIMED_OUT, detail="Task timed out after 3.00 seconds"))["detail"]


def test_a_page_is_written_only_at_debug() -> None:
    page = PageReceived(count=0, filtered_count=0)
    quiet, chatty = Log(), Log(10)
    LogObserver(quiet.logger).observe(UUID, page)
    LogObserver(chatty.logger).observe(UUID, page)
    assert (quiet.events, chatty.events[0]["event"]) == ([], "page.received")


def test_a_mapping_is_described_once_and_every_event_names_its_function() -> None:
    log, asked = Log(), []

    def describe(uuid: str) -> dict[str, str]:
        asked.append(uuid)
        return {"function": "orders"}

    observer = LogObserver(log.logger, describe=describe)
    observer.observe(UUID, settled())
    observer.observe(UUID, settled(batch=8))
    assert asked == [UUID]
    assert [event["function"] for event in log.events] == ["orders", "orders"]


def test_a_long_message_of_a_handler_is_cut() -> None:
    assert len(fields_of(settled(detail="x" * 10_000))["detail"]) == DETAIL_LIMIT


def test_a_filter_that_drops_everything_is_an_error_that_says_what_to_do() -> None:
    log = Log()
    LogObserver(log.logger).observe(UUID, EverythingFiltered(count=100))
    assert log.events[0]["level"] == "error"
    assert "broker filter test" in str(log.events[0]["advice"])


def test_a_bug_carries_its_traceback_into_the_log() -> None:
    bug = RuntimeError("the state machine lost its way")
    assert fields_of(MappingFailed(error=bug))["exc_info"] is bug


@pytest.mark.parametrize("kind", get_args(Observation), ids=lambda kind: kind.__name__)
def test_every_observation_has_an_event_named_noun_and_past_verb(kind: type[Observation]) -> None:
    noun, _, verb = EVENTS[kind][1].partition(".")
    assert noun.isalpha()
    assert verb.replace("_", "").isalpha()


def test_events_carry_nothing_but_the_fields_of_the_observation() -> None:
    invoked = BatchInvoked(batch=1, attempt=1, count=10, size_bytes=4096, trigger=BatchTrigger.SIZE)
    assert fields_of(invoked) == {"batch": 1, "attempt": 1, "count": 10, "size_bytes": 4096, "trigger": "size"}


def test_a_problem_of_the_source_is_a_warning() -> None:
    assert event_of(SourceProblem(problem="no such queue", delay_seconds=1)) == (30, "source.failed")
