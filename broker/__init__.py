"""AWS Lambda's event source mappings for SQS, Kinesis and DynamoDB Streams, as a program that you own.

`Broker` is the library; `broker.testing` has queues, streams and virtual time for tests of handlers.

The names below are loaded when they are first used, so that importing one part does not import AWS's client.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.app import Broker, Surroundings
    from broker.errors import BrokerError, ConfigurationError
    from broker.model.function import Function
    from broker.model.mapping import EventSourceMapping
    from broker.model.queue_mapping import QueueMapping
    from broker.model.settings import BrokerSettings, Configuration
    from broker.model.status import MappingStatus, QueueStatistics, StreamStatistics
    from broker.model.stream_mapping import StreamMapping

__all__ = [
    "Broker",
    "BrokerError",
    "BrokerSettings",
    "Configuration",
    "ConfigurationError",
    "EventSourceMapping",
    "Function",
    "MappingStatus",
    "QueueMapping",
    "QueueStatistics",
    "StreamMapping",
    "StreamStatistics",
    "Surroundings",
]

_HOMES = {
    "Broker": "broker.app",
    "BrokerError": "broker.errors",
    "BrokerSettings": "broker.model.settings",
    "Configuration": "broker.model.settings",
    "ConfigurationError": "broker.errors",
    "EventSourceMapping": "broker.model.mapping",
    "Function": "broker.model.function",
    "MappingStatus": "broker.model.status",
    "QueueMapping": "broker.model.queue_mapping",
    "QueueStatistics": "broker.model.status",
    "StreamMapping": "broker.model.stream_mapping",
    "StreamStatistics": "broker.model.status",
    "Surroundings": "broker.app",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
