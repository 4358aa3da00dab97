"""Amazon Resource Names."""

from dataclasses import dataclass
from typing import Self

_PARTS = 6
_FORM = "arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arn:
    """One name, taken apart: `arn:partition:service:region:account:resource`.

    Source: AWS IAM User Guide, "Identify AWS resources with Amazon Resource Names (ARNs)" (read November 2026).
    """

    partition: str
    """`aws`, `aws-cn`, `aws-us-gov`, …"""
    service: str
    """`sqs`, `kinesis`, …"""
    region: str
    """Empty for services without regions."""
    account: str
    """Twelve digits; empty for resources without an owner in their name."""
    resource: str
    """All that follows the account, colons included: the queue's name for SQS."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Takes `text` apart. Raises `ValueError`, with a message fit for users, where it is no ARN."""
        parts = text.split(":", _PARTS - 1)
        if len(parts) < _PARTS or parts[0] != "arn":
            raise ValueError(f"{text!r} is not an ARN: it should look like {_FORM}")
        _, partition, service, region, account, resource = parts
        empty = [
            name for name, part in (("PARTITION", partition), ("SERVICE", service), ("RESOURCE", resource)) if not part
        ]
        if empty:
            raise ValueError(f"{text!r} is not an ARN: {empty[0]} of {_FORM} is empty")
        return cls(partition=partition, service=service, region=region, account=account, resource=resource)

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"
