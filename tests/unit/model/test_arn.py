"""ARNs are taken apart as AWS builds them."""

import pytest

from broker.model.arn import Arn


def test_a_queue_arn_is_taken_apart() -> None:
    arn = Arn.parse("arn:aws:sqs:eu-west-1:123456789012:orders.fifo")
    assert arn == Arn(
        partition="aws", service="sqs", region="eu-west-1", account="123456789012", resource="orders.fifo"
    )


def test_the_resource_keeps_its_colons() -> None:
    assert Arn.parse("arn:aws:lambda:eu-west-1:123456789012:function:f:live").resource == "function:f:live"


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_other_partitions_come_back_as_they_were_written(partition: str) -> None:
    text = f"arn:{partition}:sqs:cn-north-1:123456789012:orders"
    assert Arn.parse(text).partition == partition
    assert str(Arn.parse(text)) == text


def test_region_and_account_may_be_empty() -> None:
    assert Arn.parse("arn:aws:s3:::bucket/key") == Arn(
        partition="aws", service="s3", region="", account="", resource="bucket/key"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not an ARN"),
        ("orders", "is not an ARN"),
        ("https://sqs.eu-west-1.amazonaws.com/1/orders", "is not an ARN"),
        ("arn:aws:sqs:eu-west-1:123456789012", "is not an ARN"),
        ("arn:aws:sqs:eu-west-1:123456789012:", "RESOURCE"),
        ("arn::sqs:eu-west-1:123456789012:orders", "PARTITION"),
        ("arn:aws::eu-west-1:123456789012:orders", "SERVICE"),
    ],
)
def test_what_is_no_arn_is_refused_with_its_form(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Arn.parse(text)
