from broker.api.health import readiness, status_list
from broker.model.status import MappingStatus, QueueStatistics


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


def test_a_broker_whose_mappings_are_well_is_ready() -> None:
    assert readiness([status(), status(state="Disabled")]) == {"ready": True, "unready": []}


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
    assert status_list([status(statistics=QueueStatistics(polled_count=3))])[0]["statistics"]["polled_count"] == 3
