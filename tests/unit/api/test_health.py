from typing import Any

import pytest

from broker.api import health
from broker.api.health import status_list
from broker.model.status import LaneStatistics, MappingStatus, QueueStatistics, ShardStatistics, StreamStatistics


def status(**changes: object) -> MappingStatus:
    fields = {
        "uuid": "u-1",
        "function_name": "orders",
        "event_source_arn": "arn:aws:sqs:eu-west-1:123456789012:orders",
        "state": "Enabled",
        "healthy": True,
        "problem": "",
        "statistics": QueueStatistics(),
    }
    return MappingStatus(**{**fields, **changes})


class OneBroker:
    def __init__(self, statuses: list[MappingStatus], *, is_running: bool = True) -> None:
        self._statuses = statuses
        self.is_running = is_running

    def statuses(self) -> list[MappingStatus]:
        return self._statuses


def readiness(statuses: list[MappingStatus], *, is_running: bool = True) -> dict[str, Any]:
    return health.readiness(OneBroker(statuses, is_running=is_running))


@pytest.mark.parametrize("statuses", [[], [status()]])
def test_a_broker_that_starts_or_drains_is_not_ready(statuses: list[MappingStatus]) -> None:
    answer = readiness(statuses, is_running=False)
    assert (answer["ready"], answer["problem"]) == (False, "the broker starts or drains")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("handler_failed: ValueError: 'swordfish'", "handler_failed: ValueError"),
        ("handler_failed: KeyError", "handler_failed: KeyError"),
        ("timed_out: Task timed out after 3.00 seconds", "timed_out: Task timed out after 3.00 seconds"),
        ("succeeded", "succeeded"),
        ("", ""),
    ],
)
def test_the_last_result_names_an_error_and_does_not_quote_it_unless_asked(said: str, shown: str) -> None:
    failed = status(statistics=QueueStatistics(last_result=said))
    (quiet,), (open_,) = (status_list([failed], with_error_messages=on) for on in (False, True))
    assert (quiet["statistics"]["last_result"], open_["statistics"]["last_result"]) == (shown, said)


def test_neither_do_the_last_results_of_a_streams_shards() -> None:
    said = "handler_failed: ValueError: 'swordfish'"
    failed = status(statistics=StreamStatistics(shards=(ShardStatistics(shard="s", last_result=said),)))
    (quiet,), (open_,) = (status_list([failed], with_error_messages=on) for on in (False, True))
    assert quiet["statistics"]["shards"][0]["last_result"] == "handler_failed: ValueError"
    assert open_["statistics"]["shards"][0]["last_result"] == said


def test_the_status_carries_a_streams_shards_and_their_lanes() -> None:
    lanes = (LaneStatistics(state="running"), LaneStatistics(state="backing off", failures=2))
    statistics = StreamStatistics(shards=(ShardStatistics(shard="s", lanes=lanes),))
    (shown,) = status_list([status(statistics=statistics)], with_error_messages=False)
    assert [lane["state"] for lane in shown["statistics"]["shards"][0]["lanes"]] == ["running", "backing off"]


def test_a_broker_whose_mappings_are_well_is_ready() -> None:
    assert readiness([status(), status(state="Disabled")]) == {"ready": True, "problem": "", "unready": []}


def test_what_is_not_well_is_named_with_its_problem() -> None:
    answer = readiness([status(), status(uuid="u-2", healthy=False, problem="no such queue")])
    assert answer["ready"] is False
    assert [(each["mapping"], each["problem"]) for each in answer["unready"]] == [("u-2", "no such queue")]


def test_a_mapping_that_starts_or_stops_is_not_ready() -> None:
    answer = readiness([status(state="Creating"), status(state="Disabling")])
    assert [each["problem"] for each in answer["unready"]] == ["starting", "stopping"]


def test_an_unhealthy_mapping_without_words_is_stopped() -> None:
    assert readiness([status(healthy=False)])["unready"][0]["problem"] == "stopped"


def test_the_list_carries_the_statistics() -> None:
    assert (
        status_list([status(statistics=QueueStatistics(polled_count=3))], with_error_messages=False)[0]["statistics"][
            "polled_count"
        ]
        == 3
    )
