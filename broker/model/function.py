"""A function: what a mapping hands its batches to.

Source: AWS Lambda API, CreateFunction and PutFunctionConcurrency (service model of botocore 1.43); `Callable` and
`Url` are ours.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, ValidationInfo, WithJsonSchema, field_validator

from broker.model.written import Items, Written, wrong, wrong_as_a_whole

DEFAULT_TIMEOUT_SECONDS = 3
"""AWS's default."""

_ROLE = r"^arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$"
_LATER = "is not supported by this version: use Callable or Url"
_CALLABLE_FORM = 'the handler is written "package.module:function", not {!r}'


def _check_callable(value: Any) -> str | Callable[..., Any]:
    if not isinstance(value, str):
        if callable(value):
            return value  # type: ignore[no-any-return]
        raise wrong(_CALLABLE_FORM.format(value))
    module, separator, attribute = value.partition(":")
    if separator and all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        return value
    raise wrong(_CALLABLE_FORM.format(value))


def _check_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise wrong(f"{value!r} is not a URL") from None
    if not usable:
        raise wrong(f"a URL that begins with http:// or https:// and names a host is needed, not {value!r}")
    _check_url_is_complete(parts)
    return value


def _check_url_is_complete(parts: SplitResult) -> None:
    if parts.username is not None or parts.password is not None:
        raise wrong("a URL with a user or password would show them in logs: let the service trust the network instead")
    if parts.fragment:
        raise wrong("a URL with a fragment (#…) cannot be invoked: remove the fragment")


class Function(Written):
    """A function and its limits. Exactly one of `Callable` and `Url` says where its handler runs."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["Callable"]}, {"required": ["Url"]}]},
    )

    is_aws: ClassVar[bool] = True

    function_name: str = Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9-_]+$", examples=["orders"])
    """The bare name by which mappings refer to the function."""
    callable: Annotated[
        str | Callable[..., Any] | None,
        PlainValidator(lambda value: value if value is None else _check_callable(value)),
        WithJsonSchema({"type": "string", "pattern": r"^[^\d\W][\w.]*:[^\d\W][\w.]*$"}),
    ] = None
    """A handler in the broker's own process, as `package.module:function`."""
    url: Annotated[str, AfterValidator(_check_url)] | None = None
    """Where the handler answers over HTTP: a Lambda Runtime Interface Emulator, or any web service that takes the event
    as the body of a POST."""
    timeout: Annotated[int, Field(ge=1, le=900)] = DEFAULT_TIMEOUT_SECONDS
    """Seconds that the handler may take for one batch."""
    memory_size: Annotated[int, Field(ge=128, le=10240)] = 128
    """Megabytes, as the handler's context tells them; nothing is limited."""
    reserved_concurrent_executions: Annotated[int, Field(ge=0)] | None = None
    """How many invocations run at once, over all mappings of the function; unlimited if absent."""
    description: Annotated[str, Field(max_length=256)] | None = None
    """For people."""
    role: str | None = Field(default=None, pattern=_ROLE, examples=["arn:aws:iam::123456789012:role/orders"])
    """The execution role. The broker acts with its own credentials."""
    tags: dict[str, str] | None = None
    """For people and tools."""
    vpc_config: dict[str, Any] | None = None
    """The handler uses the network where it runs."""
    dead_letter_config: dict[str, Any] | None = None
    """For asynchronous invocations, which event source mappings do not make."""
    tracing_config: dict[str, Any] | None = None
    """X-Ray."""
    logging_config: dict[str, Any] | None = None
    """CloudWatch Logs."""
    kms_key_arn: Annotated[str, Field(max_length=10000)] | None = Field(default=None, alias="KMSKeyArn")
    """Encrypts a function's environment at rest."""
    architectures: Items[str] | None = None
    """The handler uses the processor where it runs."""
    ephemeral_storage: dict[str, Any] | None = None
    """The handler uses the disk where it runs."""
    snap_start: dict[str, Any] | None = None
    """The handler starts as its process does."""

    refused: ClassVar[Mapping[str, str]] = {
        **{
            name: f"{name} {_LATER}"
            for name in (
                "Runtime", "Handler", "Code", "CodeUri", "Zip", "ZipFile", "Arn", "PackageType", "ImageConfig",
                "ImageUri", "Layers",
            )
        },
        "Environment": "Environment is not supported by this version, because a handler in the broker's process or "
        "behind a URL has the environment of that process: set the variables there",
        "FileSystemConfigs": "FileSystemConfigs is not supported: mount the file system where the handler runs",
        "Publish": "Publish is not supported by this version: functions have no versions",
        "PublishTo": "PublishTo is not supported by this version: functions have no versions",
        "CodeSigningConfigArn": "CodeSigningConfigArn is not supported: the broker cannot verify the handler's code",
        "TenancyConfig": "TenancyConfig is not supported: a handler is not isolated by tenant",
        "CapacityProviderConfig": "CapacityProviderConfig is not supported: the handler runs where Callable or Url say",
        "DurableConfig": "DurableConfig is not supported: invocations are not durable executions",
    }  # fmt: skip
    stored: ClassVar[frozenset[str]] = frozenset(
        {
            "Description", "Role", "Tags", "VpcConfig", "DeadLetterConfig", "TracingConfig", "LoggingConfig",
            "KMSKeyArn", "Architectures", "EphemeralStorage", "SnapStart",
        }
    )  # fmt: skip
    """Kept and shown, without effect, whatever runs the handler."""
    stored_with_url: ClassVar[frozenset[str]] = frozenset({"MemorySize"})
    """Without effect where the handler runs behind a URL: nothing carries it there."""

    @field_validator("url", mode="after")
    @classmethod
    def _check_one_executor(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "callable" not in info.data:
            return value
        if (value is None) == (info.data["callable"] is None):
            raise wrong_as_a_whole("a function needs exactly one of Callable and Url")
        return value

    @field_validator("reserved_concurrent_executions")
    @classmethod
    def _check_runs_at_all(cls, value: int | None) -> int | None:
        if value == 0:
            raise wrong("0 would never run the handler: set Enabled: false on the function's mappings instead")
        return value

    @property
    def stored_fields(self) -> tuple[str, ...]:
        """Fields that were written and have no effect here, by AWS's name."""
        without_effect = self.stored | (self.stored_with_url if self.url is not None else frozenset())
        return self.written_among(without_effect)
