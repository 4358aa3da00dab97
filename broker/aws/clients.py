"""Everything that talks to AWS, opened once and closed last.

One session finds credentials, region, profile and endpoints by the standard chain (the environment with
`AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_SQS`, the configuration files, the machine's role). Making a client of
botocore is slow and blocks, so there is one for each service and region, made when it is first asked for.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self

import aiohttp
import anyio
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session

from broker.aws.faults import Call, credentials_missing, translated
from broker.aws.signature import FrozenCredentials, JsonApi
from broker.aws.signed_call import JsonEndpoint
from broker.aws.transport import open_http, proxy_of
from broker.errors import SourceError

_IDENTITY_SECONDS = 2.0
"""How long the broker's start may wait for the account id."""
_CLOSE_SECONDS = 5.0
_FALLBACK_REGION = "us-east-1"
"""Where STS is asked if the chain names no region; every region knows the account."""
_PRODUCT = "event-source-broker"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """How the broker talks to AWS."""

    connections: int = 0
    """Most connections of one pool; 0 for one for each call that is under way, which the mappings bound themselves: a
    long poll never keeps a delete waiting."""
    connect_seconds: float = 5.0
    """Until a connection stands."""
    answer_seconds: float = 10.0
    """Until an answer comes, beyond the time of its long poll."""
    attempts: int = 3
    """Attempts of botocore's clients, the first included; signed calls have one."""


class Clients:
    """The clients of one broker. Use as `async with Clients() as clients`, outside of what may be cancelled."""

    def __init__(self, settings: ClientSettings | None = None, *, session: AioSession | None = None) -> None:
        """`session` replaces the one of the standard chain."""
        self._settings = settings or ClientSettings()
        self._given_session = session
        self._stack = AsyncExitStack()
        self._opening = anyio.Lock()
        self._clients: dict[tuple[str, str, int], Any] = {}
        self._endpoints: dict[tuple[str, str], JsonEndpoint] = {}
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await self._stack.aclose()

    @property
    def region(self) -> str | None:
        """The region of the environment or the profile. Raises `SourceError` where the profile does not exist."""
        with translated(Call(operation="Reading the AWS configuration")):
            region: str | None = self._session.get_config_variable("region")
            return region

    @cached_property
    def _session(self) -> AioSession:
        """Made when something is asked of AWS: it takes a while, and not every broker does."""
        return self._given_session or _new_session()

    async def client(self, service: str, region: str, *, attempts: int | None = None) -> Any:
        """Botocore's client of `service` (its name there: `sqs`) in `region`. Raises `SourceError`.

        `attempts` is how often it tries, the first time included, where that differs from the settings.
        """
        key = (service, region, attempts or self._settings.attempts)
        if client := self._clients.get(key):
            return client
        async with self._opening:
            if key not in self._clients:
                self._clients[key] = await self._open_client(*key)
        return self._clients[key]

    async def json_endpoint(self, service: str, region: str) -> JsonEndpoint:
        """Signed calls to `service`, which must speak AWS JSON, in `region`. Raises `SourceError`."""
        if endpoint := self._endpoints.get((service, region)):
            return endpoint
        client = await self.client(service, region)
        async with self._opening:
            if (service, region) not in self._endpoints:
                self._endpoints[service, region] = await self._open_endpoint(client)
        return self._endpoints[service, region]

    async def account_id(self) -> str | None:
        """The account of the credentials, as STS tells it; None where it does not within two seconds."""
        with anyio.move_on_after(_IDENTITY_SECONDS):
            try:
                sts = await self.client("sts", self.region or _FALLBACK_REGION)
                with translated(Call(operation="GetCallerIdentity")):
                    account: str | None = (await sts.get_caller_identity()).get("Account")
                    return account
            except SourceError:
                return None
        return None

    async def _open_client(self, service: str, region: str, attempts: int) -> Any:
        call = Call(operation=f"Opening a client of {service}")
        async with AsyncExitStack() as opening:
            with translated(call):
                client = await opening.enter_async_context(
                    self._session.create_client(service, region_name=region, config=self._config(attempts))
                )
            await self._credentials(call)  # a client that was made without credentials never gets any: it is not kept
            self._stack.push_async_callback(opening.pop_all().aclose)
        return client

    def _config(self, attempts: int) -> AioConfig:
        settings = self._settings
        return AioConfig(
            connect_timeout=settings.connect_seconds,
            read_timeout=settings.answer_seconds,
            max_pool_connections=settings.connections,
            retries={"mode": "standard", "total_max_attempts": attempts},
            warm_up_loader_caches=True,
        )

    async def _open_endpoint(self, client: Any) -> JsonEndpoint:
        api = _json_api(client.meta)
        return JsonEndpoint(
            api=api,
            http=await self._opened_http(Call(operation="Reading the CA bundle")),
            credentials=self._credentials,
            proxy=proxy_of(api.endpoint_url),
            connect_seconds=self._settings.connect_seconds,
            answer_seconds=self._settings.answer_seconds,
        )

    async def _opened_http(self, call: Call) -> aiohttp.ClientSession:
        if self._http is None:
            bundle = self._session.get_config_variable("ca_bundle")
            try:
                self._http = await self._stack.enter_async_context(
                    open_http(
                        connections=self._settings.connections,
                        connect_seconds=self._settings.connect_seconds,
                        ca_bundle=bundle,
                        user_agent=self._session.user_agent(),
                    )
                )
            except OSError as error:
                raise SourceError(f"{call} {bundle} failed: {error.strerror}", retryable=False) from error
        return self._http

    async def _credentials(self, call: Call) -> FrozenCredentials:
        with translated(call):
            credentials = await self._session.get_credentials()
            if credentials is None:
                raise credentials_missing(call)
            frozen: FrozenCredentials = await credentials.get_frozen_credentials()
            return frozen


def _new_session() -> AioSession:
    session = get_session()
    session.user_agent_name = _PRODUCT
    session.user_agent_version = version(_PRODUCT)
    return session


def _json_api(meta: Any) -> JsonApi:
    model = meta.service_model
    return JsonApi(
        service=model.signing_name,
        region=meta.region_name,
        endpoint_url=meta.endpoint_url,
        target_prefix=model.metadata["targetPrefix"],
        json_version=model.metadata["jsonVersion"],
        query_compatible="awsQueryCompatible" in model.metadata,
    )
