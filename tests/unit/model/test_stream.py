"""Places in a shard, as logs and commands write them."""

import pytest

from broker.model.stream import AfterSequenceNumber, AtSequenceNumber, AtTimestamp, TrimHorizon


@pytest.mark.parametrize(
    ("position", "text"),
    [
        (TrimHorizon(), "TRIM_HORIZON"),
        (AtTimestamp(at=1767225600.5), "AT_TIMESTAMP 1767225600.500"),
        (AfterSequenceNumber(number="49"), "AFTER_SEQUENCE_NUMBER 49"),
        (AtSequenceNumber(number="49"), "AT_SEQUENCE_NUMBER 49"),
    ],
)
def test_a_place_is_written_in_the_words_of_kinesis(position, text) -> None:
    assert str(position) == text
