from broker.cli.leftovers import in_flight, sentence
from broker.model.status import MappingStatus, QueueStatistics, ShardStatistics, StreamStatistics


def status(arn: str, statistics: QueueStatistics | StreamStatistics) -> MappingStatus:
    return MappingStatus(
        uuid="u",
        function_name="orders",
        event_source_arn=f"arn:aws:{arn}",
        state="Disabling",
        healthy=True,
        problem="",
        statistics=statistics,
    )


QUEUE = status("sqs:eu-west-1:123456789012:orders", QueueStatistics(buffered_records=3))
STREAM = status(
    "kinesis:eu-west-1:123456789012:stream/clicks",
    StreamStatistics(
        shards=(ShardStatistics(shard="shardId-1"), ShardStatistics(shard="shardId-2")),
        in_flight_batches=2,
        in_flight_records=20,
        stuck_batches=1,
    ),
)


def test_messages_that_no_batch_had_are_left_behind() -> None:
    (entry,) = in_flight([QUEUE])
    assert (entry["queue"], entry["buffered_records"], entry["batches"]) == ("orders", 3, 0)


def test_of_a_stream_only_what_was_handed_over_is_left_behind() -> None:
    (entry,) = in_flight([STREAM, status(STREAM.event_source_arn[8:], StreamStatistics(buffered_records=9))])
    assert (entry["stream"], entry["batches"], entry["records"]) == ("clicks", 2, 20)
    assert entry["shards"] == "shardId-1, shardId-2"


def test_people_read_it_in_a_sentence() -> None:
    assert sentence([QUEUE, STREAM]) == (
        "the drain was cut short; in flight: orders 0 batches, 0 stuck; clicks 2 batches, 1 stuck"
    )
    assert sentence([]) == "the drain was cut short; in flight: nothing that is known"
