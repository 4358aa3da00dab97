"""What the mappings of one broker are put together from."""

from dataclasses import dataclass

from broker import config
from broker.aws.clients import Clients
from broker.composing.executors import Executors
from broker.composing.surroundings import Overrides, Surroundings
from broker.composing.targets import target_of
from broker.model.function import Function
from broker.model.mapping import EventSourceMapping
from broker.model.observation import Observation
from broker.model.settings import Configuration
from broker.ports import Observer
from broker.runtime.fleet import Fleet
from broker.runtime.mapping_life import MappingFacts
from broker.runtime.target import Target
from broker.stores.opening import OpenStateStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All that is open while a broker runs."""

    configuration: Configuration
    observers: tuple[Observer, ...]
    overrides: Overrides
    around: Surroundings
    clients: Clients
    executors: Executors
    store: OpenStateStore | None
    """None where no mapping needs one; then there is no fleet either."""
    fleet: Fleet | None

    def function_of(self, mapping: EventSourceMapping) -> Function:
        """The function that a mapping invokes."""
        name = mapping.function.name
        return next(function for function in self.configuration.functions if function.function_name == name)

    def target_of(self, mapping: EventSourceMapping) -> Target:
        """What every invocation of a mapping says of its function."""
        return target_of(mapping, self.function_of(mapping), self.configuration.broker)

    def facts_of(self, mapping: EventSourceMapping) -> MappingFacts:
        """What a mapping is called."""
        return MappingFacts(
            uuid=config.identity_of(mapping),
            function_name=mapping.function.qualified_name,
            event_source_arn=mapping.event_source_arn,
            enabled=mapping.enabled,
            kind=mapping.kind,
        )

    def observe(self, uuid: str, observation: Observation) -> None:
        """Tells all observers what happened to a mapping; an empty UUID means the broker as a whole."""
        for observer in self.observers:
            observer.observe(uuid, observation)
