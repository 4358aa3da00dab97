"""The lease table of a KCL application, as it is read."""

from collections.abc import Sequence
from typing import Any

import pytest

from broker.aws.signed_call import Answer
from broker.errors import SourceError, StoreError
from broker.model.kcl import KclLease, KclStream
from broker.stores.kcl_table import KclTable

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class FakeScan:
    """`Clients` and the endpoint that they open: pages of one table, or a refusal."""

    def __init__(self, *pages: Sequence[dict[str, Any]], refusal: str = "") -> None:
        self.pages = pages
        self.refusal = refusal
        self.asked: list[dict[str, Any]] = []

    async def json_endpoint(self, service: str, region: str) -> "FakeScan":
        assert (service, region) == ("dynamodb", "eu-west-1")
        return self

    async def call(self, operation: str, request: dict[str, Any], *, resource: str) -> Answer:
        assert (operation, resource) == ("Scan", "the table shop")
        if self.refusal:
            raise SourceError("refused", code=self.refusal)
        self.asked.append(dict(request))
        number = len(self.asked)
        more = {"LastEvaluatedKey": {"leaseKey": {"S": str(number)}}} if number < len(self.pages) else {}
        return Answer({"Items": list(self.pages[number - 1]), **more}, None)


def table(scan: FakeScan) -> KclTable:
    return KclTable("shop", region="eu-west-1", clients=scan)  # type: ignore[arg-type]


def item(key: str, checkpoint: str = "49", **attributes: dict[str, Any]) -> dict[str, Any]:
    return {"leaseKey": {"S": key}, "checkpoint": {"S": checkpoint}, "leaseCounter": {"N": "3"}, **attributes}


async def test_all_pages_are_read_consistently() -> None:
    scan = FakeScan([item("a")], [item("b")])
    assert [lease.shard_id for lease in await table(scan).leases()] == ["a", "b"]
    assert [(each["ConsistentRead"], each.get("ExclusiveStartKey")) for each in scan.asked] == [
        (True, None),
        (True, {"leaseKey": {"S": "1"}}),
    ]


async def test_a_lease_of_one_stream_has_the_shard_as_its_key() -> None:
    scan = FakeScan([item("shardId-1", leaseOwner={"S": "w"}, checkpointSubSequenceNumber={"N": "2"})])
    expected = KclLease(
        key="shardId-1", shard_id="shardId-1", checkpoint="49", sub_sequence_number=2, counter=3, owner="w"
    )
    assert await table(scan).leases() == (expected,)


async def test_a_lease_of_one_of_several_streams_names_it() -> None:
    key = "123456789012:clicks:1700000000:shardId-1"
    (lease,) = await table(FakeScan([item(key, streamName={"S": key}, shardId={"S": "shardId-1"})])).leases()
    assert lease.shard_id == "shardId-1"
    assert lease.stream == KclStream(account="123456789012", name="clicks", created_at=1_700_000_000)


async def test_other_things_in_the_table_are_passed_over() -> None:
    metrics = {"wid": {"S": "w"}, "entityType": {"S": "WORKER_METRIC_STATS"}}
    (lease,) = await table(FakeScan([metrics, item("a", entityType={"S": "LEASE"})])).leases()
    assert lease.shard_id == "a"


@pytest.mark.parametrize(
    "wrong",
    [{}, {"id": {"S": "1"}}, item("a", "yesterday"), {"leaseKey": {"S": "a"}, "checkpoint": {"S": "1"}},
     {"leaseKey": {"N": "1"}}],
)  # fmt: skip
async def test_a_table_of_another_shape_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="shop in eu-west-1 is no lease table of the KCL") as raised:
        await table(FakeScan([wrong])).leases()
    assert not raised.value.retryable


async def test_a_missing_table_is_named() -> None:
    with pytest.raises(StoreError, match="There is no table shop in eu-west-1"):
        await table(FakeScan(refusal="ResourceNotFoundException")).leases()


async def test_a_refusal_stays_what_it_is() -> None:
    with pytest.raises(SourceError, match="refused"):
        await table(FakeScan(refusal="AccessDeniedException")).leases()
