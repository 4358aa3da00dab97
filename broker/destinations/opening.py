"""The destination that an ARN names."""

from broker.aws.clients import Clients
from broker.destinations.failure_record import Origin
from broker.destinations.s3 import S3Destination
from broker.destinations.sns import SnsDestination
from broker.destinations.sqs import SqsDestination
from broker.model.arn import Arn
from broker.ports import Destination


def open_destination(arn: str, *, region: str, clients: Clients, origin: Origin) -> Destination:
    """Makes the destination of `OnFailure.Destination`; nothing is asked yet.

    `region` is the mapping's, where the bucket is looked for. Raises `ValueError` where no failure record can be sent
    there: a FIFO queue or topic, another service, no ARN.
    """
    match Arn.parse(arn).service:
        case "sqs":
            return SqsDestination(arn=arn, clients=clients, origin=origin)
        case "sns":
            return SnsDestination(arn=arn, clients=clients, origin=origin)
        case "s3":
            return S3Destination(arn=arn, region=region, clients=clients, origin=origin)
        case _:
            raise ValueError(f"{arn!r} is no destination of failure records: they go to SQS, SNS or S3")
