"""A DynamoDB table under load: each item is put, updated and deleted, again and again; its changes are numbered."""

from typing import Any
from uuid import uuid4

import botocore.session

from broker.cli.emulator import Emulator
from tests.acceptance.stream_load import Load

ITEMS = 20
CHANGES_OF_AN_ITEM = 3

TEXT_OF = """
def text_of(record):
    new, old = (record["dynamodb"].get(name) for name in ("NewImage", "OldImage"))
    change = int(new["change"]["N"]) if new else int(old["change"]["N"]) + 1
    assert record["eventName"] == ("INSERT", "MODIFY", "REMOVE")[change % 3]
    return f"{record['dynamodb']['Keys']['id']['S']}/{change}"

"""


class LoadedTable(Load):
    """A table with a stream."""

    per_round = ITEMS

    def __init__(self, server: Emulator) -> None:
        super().__init__(server)
        self.client = _client(server, "dynamodb")
        self.streams = _client(server, "dynamodbstreams")
        self.name = f"items-{uuid4().hex}"
        description = self.client.create_table(
            TableName=self.name,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )["TableDescription"]
        self.source_arn = str(description["LatestStreamArn"])

    def handler(self, text: str) -> str:
        """A handler's text, for changes of items."""
        return TEXT_OF + text

    def open_shard_ids(self) -> set[str]:
        """The table's only shard, by the name that handlers note: they are told none."""
        shards = self.streams.describe_stream(StreamArn=self.source_arn)["StreamDescription"]["Shards"]
        return {shard["ShardId"] for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]}

    def put(self, rounds: int = 1) -> None:
        """Changes each item so many times."""
        for _ in range(rounds):
            for number in range(ITEMS):
                item = f"item-{number}"
                self._change({"id": {"S": item}}, self.sent.get(item, 0))
                self.sent[item] = self.sent.get(item, 0) + 1

    def _change(self, key: dict[str, Any], change: int) -> None:
        value = {"N": str(change)}
        match change % CHANGES_OF_AN_ITEM:
            case 0:
                self.client.put_item(TableName=self.name, Item={**key, "change": value})
            case 1:
                self.client.update_item(
                    TableName=self.name,
                    Key=key,
                    UpdateExpression="SET #change = :change",
                    ExpressionAttributeNames={"#change": "change"},
                    ExpressionAttributeValues={":change": value},
                )
            case _:
                self.client.delete_item(TableName=self.name, Key=key)


def _client(server: Emulator, service: str) -> Any:
    return botocore.session.get_session().create_client(
        service,
        endpoint_url=server.url,
        region_name=server.region,
        aws_access_key_id=server.account_id,
        aws_secret_access_key="emulated",
    )
