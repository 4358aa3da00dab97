"""The run of a queue's mapping."""

from dataclasses import replace
from functools import partial

from broker.aws.faults import QUEUE_MISSING
from broker.composing.parts import Parts
from broker.core.description import visibility_problem
from broker.core.filtering import compile_queue_filters
from broker.core.queue_policy import QueuePolicy, queue_policy
from broker.errors import SourceError
from broker.model.queue_mapping import QueueMapping
from broker.ports import QueueSource
from broker.runtime.holdings import HAND_OVER_GRACE_SECONDS
from broker.runtime.performer import QueuePerformer
from broker.runtime.queue_run import QueuePlan, QueueRun
from broker.sources.sqs import SqsQueueSource


def queue_run(parts: Parts, mapping: QueueMapping) -> QueueRun:
    """Makes the run of a mapping."""
    around, executor, facts = parts.around, parts.executors.of(mapping), parts.facts_of(mapping)
    observe = partial(parts.observe, facts.uuid)
    source = queue_source(parts, mapping)
    performer = QueuePerformer(
        source=source,
        executor=executor,
        target=parts.target_of(mapping),
        run_id=around.new_id(),
        chance=around.chance,
        observe=observe,
        fifo=mapping.is_fifo,
    )
    plan = QueuePlan(
        uuid=facts.uuid,
        function_name=facts.function_name,
        event_source_arn=facts.event_source_arn,
        enabled=facts.enabled,
        policy=_policy(parts, mapping),
        performer=performer,
        source=source,
        observe=observe,
        fleet=parts.fleet if _is_shared(parts, mapping) else None,
        hand_over_seconds=parts.function_of(mapping).timeout + HAND_OVER_GRACE_SECONDS,
    )
    return QueueRun(plan, clock=around.clock, chance=around.chance, raise_bugs=around.raise_bugs)


def queue_source(parts: Parts, mapping: QueueMapping) -> QueueSource:
    """The queue that a mapping reads."""
    arn = mapping.event_source_arn
    return parts.overrides.queues.get(arn) or SqsQueueSource(arn=arn, clients=parts.clients, clock=parts.around.clock)


def _is_shared(parts: Parts, mapping: QueueMapping) -> bool:
    """Whether `MaximumConcurrency` is to hold for several brokers."""
    return mapping.needs_store and parts.store is not None and parts.store.is_shared


def _policy(parts: Parts, mapping: QueueMapping) -> QueuePolicy:
    policy = queue_policy(
        mapping,
        accepts=compile_queue_filters(mapping.filter_patterns),
        function_timeout_seconds=parts.function_of(mapping).timeout,
        function_concurrency=parts.executors.of(mapping).concurrency,
        drain_seconds=parts.configuration.broker.drain_timeout_in_seconds,
    )
    return replace(policy, scaling=replace(policy.scaling, is_shared=_is_shared(parts, mapping)))


async def queue_problem(parts: Parts, mapping: QueueMapping) -> str | None:
    """Why a mapping may not begin: its queue is missing, or hides messages too briefly. Raises `SourceError`."""
    try:
        attributes = await queue_source(parts, mapping).describe()
    except SourceError as error:
        if error.code == QUEUE_MISSING:
            return str(error)
        raise
    return visibility_problem(attributes, _policy(parts, mapping))
