"""What every invocation of a mapping says of its function."""

from broker.model.function import Function
from broker.model.mapping import EventSourceMapping
from broker.model.settings import BrokerSettings
from broker.runtime.target import Target


def target_of(mapping: EventSourceMapping, function: Function, settings: BrokerSettings) -> Target:
    """Account and region are those that the mapping writes, else those of the settings, else of its source."""
    source, reference = mapping.source, mapping.function
    account = reference.account_id or settings.account_id or source.account
    region = reference.region or settings.region or source.region
    return Target(
        function_name=reference.name,
        function_arn=f"arn:{source.partition}:lambda:{region}:{account}:function:{reference.qualified_name}",
        function_version=reference.qualifier or "$LATEST",
        memory_limit_in_mb=function.memory_size,
        timeout_seconds=function.timeout,
    )
