import pytest

from broker.cli.events import read_records, read_stream_records
from broker.cli.filters import Outcome, chosen_mappings, judge
from broker.cli.peeking import Feed
from broker.config import identity_of, parse_function, parse_mapping
from broker.errors import ConfigurationError
from broker.model.mapping import EventSourceMapping
from broker.model.settings import Configuration

ARN = "arn:aws:sqs:eu-west-1:123456789012:orders"
ORDER = '{"body":{"kind":["order"]}}'
LARGE = '{"body":{"amount":[{"numeric":[">",100]}]}}'
RECORDS = read_records(
    b'[{"body": "{\\"kind\\": \\"order\\"}"}, {"body": "{\\"amount\\": 200}"}, {"body": "text"}]', name="e", arn=ARN
)


def mapping(*patterns: str, queue: str = "orders") -> EventSourceMapping:
    arn = ARN.replace(":orders", f":{queue}")
    criteria = {"Filters": [{"Pattern": pattern} for pattern in patterns]}
    return parse_mapping(event_source_arn=arn, function_name="shop", filter_criteria=criteria)


STREAM = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks"
CLICKS = read_stream_records(b'[{"Data": "eyJraW5kIjogImNsaWNrIn0="}, {"Data": "dGV4dA=="}]', name="e", arn=STREAM)
FEED = Feed(messages=lambda _: RECORDS, records=lambda _: CLICKS)


def outcomes_of(judged: EventSourceMapping) -> list[Outcome]:
    return judge(FEED, "EventSourceMappings[0]", judged)


CONFIGURATION = Configuration(
    functions=(parse_function(function_name="shop", callable="app:handler"),),
    event_source_mappings=(mapping(ORDER), mapping(queue="payments.fifo")),
)


def test_the_pattern_that_matches_is_named_and_for_a_dropped_message_all_of_them() -> None:
    outcomes = outcomes_of(mapping(ORDER, LARGE))
    assert [(outcome.passes, outcome.pattern) for outcome in outcomes] == [
        (True, ORDER),
        (True, LARGE),
        (False, f"{ORDER} | {LARGE}"),
    ]


def test_without_filters_everything_passes() -> None:
    assert [(outcome.passes, outcome.pattern) for outcome in outcomes_of(mapping())] == [(True, "")] * 3


@pytest.mark.parametrize("chosen", ["payments.fifo", ARN.replace("orders", "payments.fifo"), "uuid"])
def test_a_mapping_is_chosen_by_any_of_its_names(chosen: str) -> None:
    name = identity_of(CONFIGURATION.event_source_mappings[1]) if chosen == "uuid" else chosen
    assert [path for path, _ in chosen_mappings(CONFIGURATION, name)] == ["EventSourceMappings[1]"]


def test_a_function_chooses_all_of_its_mappings() -> None:
    assert len(chosen_mappings(CONFIGURATION, "shop")) == len(chosen_mappings(CONFIGURATION, None)) == 2


def test_a_streams_records_are_judged_by_what_their_data_hold() -> None:
    click = '{"data":{"kind":["click"]}}'
    stream = parse_mapping(
        event_source_arn=STREAM,
        function_name="shop",
        starting_position="LATEST",
        filter_criteria={"filters": [{"pattern": click}]},
    )
    assert [(each.message, each.passes, each.pattern) for each in outcomes_of(stream)] == [
        ("1", True, click),
        ("2", False, click),
    ]
    assert chosen_mappings(Configuration(event_source_mappings=(stream,)), "clicks")


def test_an_unknown_mapping_is_refused_with_the_sources_that_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"'nix'; it has orders, payments\.fifo"):
        chosen_mappings(CONFIGURATION, "nix")
