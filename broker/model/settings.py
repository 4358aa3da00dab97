"""The broker's own settings, and a whole configuration: what the file says."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from broker.model.function import Function
from broker.model.mapping import WrittenMapping
from broker.model.reference import StoreReference
from broker.model.written import Items, Written, wrong

_HIGHEST_PORT = 65535


def _check_listen(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or (":" in host and not _is_bracketed(host)):
        raise wrong(f'an address to listen on is written "127.0.0.1:3001" or "[::1]:3001", not {value!r}')
    if not (port.isascii() and port.isdigit() and int(port) <= _HIGHEST_PORT):
        raise wrong(f"a port is a number from 0 (any free one) to {_HIGHEST_PORT}, not {port!r}")
    return value


def _is_bracketed(host: str) -> bool:
    return host.startswith("[") and host.endswith("]")


def _check_store(value: str) -> str:
    try:
        StoreReference.parse(value)
    except ValueError as error:
        raise wrong(str(error)) from None
    return value


def _as_path(value: Any) -> Any:
    return Path(value) if isinstance(value, str) and value else value


def _as_words(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise wrong(f"the command cannot be taken apart ({error}): write it as a list of words") from None


_ACCOUNT_ID = r"^[0-9]{12}$"
_COMMAND_SCHEMA: dict[str, Any] = {
    "type": ["array", "string"],
    "items": {"type": "string"},
    "minItems": 1,
    "minLength": 1,
}


class Listener(Written):
    """An HTTP listener."""

    listen: Annotated[str, AfterValidator(_check_listen)]
    """Host and port, as `127.0.0.1:3001`; port 0 takes any free one."""

    @property
    def address(self) -> tuple[str, int]:
        """Host, without brackets, and port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class ControlPlane(Listener):
    """Where the status of the mappings is served; for this machine only, unless told otherwise."""

    listen: Annotated[str, AfterValidator(_check_listen)] = "127.0.0.1:3001"
    """Host and port, as `127.0.0.1:3001`; port 0 takes any free one."""


class Health(Listener):
    """Where `/livez` and `/readyz` are served, read-only."""

    listen: Annotated[str, AfterValidator(_check_listen)] = "127.0.0.1:3002"
    """Host and port, as `0.0.0.0:3002`; port 0 takes any free one."""


class Dev(Written):
    """What `broker dev` uses."""

    emulator_command: Annotated[Items[str] | None, BeforeValidator(_as_words), WithJsonSchema(_COMMAND_SCHEMA)] = Field(
        default=None, min_length=1
    )
    """The program that emulates AWS, with its arguments, as a list or as one text; found by itself if absent."""


class BrokerSettings(Written):
    """The broker itself. `BROKER_CONTROL_PLANE__LISTEN` and the like in the environment beat the file."""

    data_folder: Annotated[Path, BeforeValidator(_as_path), WithJsonSchema({"type": "string", "minLength": 1})] = Path(
        ".broker"
    )
    """The only folder that is written to, below the working directory unless absolute."""
    state_store: Annotated[str, AfterValidator(_check_store)] = "memory:"
    """Where positions and leases are kept: `memory:` (forgotten at the end), `sqlite:` (`state.sqlite` in `DataFolder`)
    or `sqlite:PATH`, which several brokers on one machine can share, or `dynamodb:TABLE_PREFIX` for a fleet. A file
    that says nothing means `sqlite:` as soon as one of its mappings reads a stream or has a `MaximumConcurrency`."""
    lease_duration_in_seconds: Annotated[float, Field(ge=2, le=300)] = 10.0
    """How long after a broker has stopped answering the others take over its shards: longer for networks with hiccups,
    shorter for handlers that must not wait."""
    account_id: str | None = Field(default=None, pattern=_ACCOUNT_ID, examples=["123456789012"])
    """The account of the functions; if absent that of a mapping's ARN, else what AWS says, else 000000000000."""
    expected_account_id: str | None = Field(default=None, pattern=_ACCOUNT_ID, examples=["123456789012"])
    """Refuses to run with the credentials of another account."""
    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$", examples=["eu-west-1"])
    """The region of the functions; if absent that of a mapping's ARN."""
    control_plane: ControlPlane = ControlPlane()
    """Where the status of the mappings is served."""
    health: Health = Health()
    """Where probes are answered."""
    drain_timeout_in_seconds: Annotated[float, Field(ge=0, le=86400)] = 60.0
    """How long a stopping broker waits for what is in flight; a long poll lasts at most half of it."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """`auto` is `console` on a terminal and `json` elsewhere."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Less is not logged."""
    log_handler_error_messages: bool = False
    """Logs and shows in `/status` what a handler's error says, not only its type: it may quote a message's body."""
    dev: Dev = Dev()
    """For `broker dev` only."""

    @property
    def store(self) -> StoreReference:
        """`state_store`, taken apart."""
        return StoreReference.parse(self.state_store)

    refused: ClassVar[Mapping[str, str]] = {
        name: f"{name} is not supported by this version: remove it" for name in ("CodeStore", "FileGeneration")
    }


class Configuration(Written):
    """Everything that a file says."""

    broker: BrokerSettings = BrokerSettings()
    """The broker itself."""
    functions: Items[Function] = ()
    """What runs the handlers, each under a name of its own."""
    event_source_mappings: Items[WrittenMapping] = ()
    """Which queue or stream feeds which function."""

    @property
    def needs_store(self) -> bool:
        """Whether any mapping has something to keep or to share."""
        return any(mapping.needs_store for mapping in self.event_source_mappings)
