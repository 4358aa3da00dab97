import json

from broker.cli.accounts import delivered_counts


def test_failure_records_stand_for_as_many_records_as_they_say() -> None:
    bodies = [
        json.dumps({"KinesisBatchInfo": {"streamArn": "clicks", "batchSize": 2}}),
        json.dumps({"KinesisBatchInfo": {"streamArn": "clicks", "batchSize": 1}}),
        json.dumps({"DDBStreamBatchInfo": {"streamArn": "stock", "batchSize": 5}}),
    ]
    assert delivered_counts(bodies) == {"clicks": 3, "stock": 5}
