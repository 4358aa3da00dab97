"""An S3 bucket as an on-failure destination: an object for each failure record, with the event.

The key ends in a UUID. AWS draws it at random; here it is derived from what is sent, so that a repetition of a delivery
whose answer was lost, with the same time stamp, writes the same object again.

Source: AWS Lambda Developer Guide, "Retain discarded batch records for a Kinesis Data Streams event source" (names of
objects); Amazon S3 API Reference, PutObject: an object of one call has up to 5 GB (read November 2026). The type of the
content is as observed.
"""

import uuid

from broker.aws.clients import Clients
from broker.aws.faults import Call, translated
from broker.destinations.failure_record import Origin, failure_record, utc
from broker.destinations.faults import destination_error
from broker.errors import SourceError
from broker.model.arn import Arn
from broker.model.discard import DiscardedBatch

_CONTENT_TYPE = "application/octet-stream"


class S3Destination:
    """A bucket."""

    def __init__(self, *, arn: str, region: str, clients: Clients, origin: Origin) -> None:
        """`region` is the mapping's: a bucket's ARN has none. Raises `ValueError` where `arn` is not a bucket's."""
        name = Arn.parse(arn)
        if name.service != "s3" or name.region or "/" in name.resource or ":" in name.resource:
            raise ValueError(f"{arn!r} is not the ARN of an S3 bucket: it should look like arn:aws:s3:::BUCKET")
        self._arn = arn
        self._bucket = name.resource
        self._region = region
        self._clients = clients
        self._origin = origin

    async def send(self, discarded: DiscardedBatch, *, shard_id: str, request_id: str, now: float) -> None:
        """Writes one object. Raises `DestinationError`."""
        body = failure_record(
            discarded, self._origin, shard_id=shard_id, request_id=request_id, now=now, with_payload=True
        )
        key = object_key(discarded, self._origin, shard_id=shard_id, request_id=request_id, now=now)
        call = Call(operation="PutObject", resource=self._arn)
        try:
            client = await self._clients.client("s3", self._region, attempts=1)
            with translated(call):
                await client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=_CONTENT_TYPE)
        except SourceError as error:
            raise destination_error(error, call) from error


def object_key(discarded: DiscardedBatch, origin: Origin, *, shard_id: str, request_id: str, now: float) -> str:
    """`aws/lambda/MAPPING/SHARD/2019/11/14/2019-11-14T00.38.06-UUID`: the record's own time stamp, UTC."""
    what = (origin.mapping_uuid, shard_id, request_id, str(discarded.number), discarded.first, discarded.last)
    name = uuid.uuid5(uuid.NAMESPACE_OID, "/".join(what))
    return f"aws/lambda/{origin.mapping_uuid}/{shard_id}/{utc(now):%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{name}"
