"""What is valid, but surely not meant; and mistakes behind other mistakes."""

import pytest

from broker import ConfigurationError
from broker.config import load, notices, parse_mapping

QUEUE = "arn:aws:sqs:eu-west-1:123456789012:orders"
FUNCTIONS = "Functions: [{FunctionName: orders, Callable: 'shop:orders'}]\n"


def written(tmp_path, text: str):
    path = tmp_path / "broker.yaml"
    path.write_text(FUNCTIONS + text, "utf-8")
    return load(path, {})


def mapping_with(pattern: str, more: str = "") -> str:
    criteria = f"FilterCriteria: {{Filters: [{{Pattern: '{pattern}'}}]}}"
    return f"EventSourceMappings: [{{FunctionName: orders, EventSourceArn: '{QUEUE}', {criteria}{more}}}]\n"


def test_a_pattern_that_forgets_the_body_is_noticed(tmp_path):
    (notice,) = notices(written(tmp_path, mapping_with('{"kind":["order"]}')), {})

    assert "EventSourceMappings[0].FilterCriteria.Filters[0].Pattern" in notice
    assert "kind" in notice
    assert '{"body": {…}}' in notice


@pytest.mark.parametrize(
    "pattern",
    ['{"body":{"kind":["order"]}}', '{"attributes.SenderId":["x"]}', '{"$or":[{"body":["a"]},{"body":["b"]}]}'],
)
def test_a_pattern_that_asks_for_what_messages_have_is_not_noticed(tmp_path, pattern):
    assert notices(written(tmp_path, mapping_with(pattern)), {}) == []


def test_a_bad_pattern_is_reported_beside_another_mistake_of_its_mapping(tmp_path):
    with pytest.raises(ConfigurationError) as raised:
        written(tmp_path, mapping_with('{"body":"x"}', ", BatchSize: 0"))

    assert [mistake.path for mistake in raised.value.mistakes] == [
        "EventSourceMappings[0].FilterCriteria.Filters[0].Pattern",
        "EventSourceMappings[0].BatchSize",
    ]


def test_one_function_is_isolated_in_one_way(tmp_path):
    text = "EventSourceMappings:\n" + "".join(
        f"- {{FunctionName: orders, EventSourceArn: '{QUEUE}{name}', Broker: {{Isolation: {isolation}}}}}\n"
        for name, isolation in (("a", "thread"), ("b", "process"))
    )
    with pytest.raises(ConfigurationError, match=r"EventSourceMappings\[1\].Broker.Isolation"):
        written(tmp_path, text)


def test_scaling_beside_provisioned_pollers_is_refused():
    with pytest.raises(ConfigurationError, match=r"Broker\.Scaling has no effect"):
        parse_mapping(
            event_source_arn=QUEUE,
            function_name="orders",
            provisioned_poller_config={"minimum_pollers": 2},
            broker={"scaling": {"initial": 7}},
        )


@pytest.mark.parametrize(
    ("limit", "shares", "count"), [(5, (2, 3), 0), (5, (3, 3), 1), (1, (None, None), 1), (5, (None,), 0)]
)
def test_mappings_that_throttle_each_other_are_noticed(tmp_path, limit, shares, count):
    mappings = "".join(
        f"- {{FunctionName: orders, EventSourceArn: '{QUEUE}{number}'"
        + (f", ScalingConfig: {{MaximumConcurrency: {share}}}" if share else "")
        + "}\n"
        for number, share in enumerate(shares)
    )
    path = tmp_path / "broker.yaml"
    limited = FUNCTIONS.replace("}]", f", ReservedConcurrentExecutions: {limit}}}]")
    path.write_text(f"{limited}EventSourceMappings:\n{mappings}", "utf-8")

    assert len(notices(load(path, {}), {})) == count


def test_numbers_of_provisioned_pollers_without_pollers_are_refused(tmp_path):
    text = (
        f"EventSourceMappings: [{{FunctionName: orders, EventSourceArn: '{QUEUE}', "
        "Broker: {Provisioned: {InvocationsPerPoller: 5}}}]\n"
    )
    with pytest.raises(ConfigurationError, match=r"EventSourceMappings\[0\].Broker.Provisioned"):
        written(tmp_path, text)
