"""Clients of the emulator that are not the broker's: what `broker dev` makes, fills and measures with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.session import AioSession, get_session

from broker.aws.faults import Call, translated
from broker.cli.emulator import Emulator


@asynccontextmanager
async def emulated_client(service: str, emulator: Emulator, *, session: AioSession | None = None) -> AsyncIterator[Any]:
    """Opens a client of one service for the emulator's account and region."""
    async with (session or get_session()).create_client(
        service,
        endpoint_url=emulator.url,
        region_name=emulator.region,
        aws_access_key_id=emulator.account_id,
        aws_secret_access_key="emulated",  # noqa: S106 - the emulator takes any
    ) as client:
        yield client


def making(operation: str, resource: str) -> translated:
    """Is put around a call that makes `resource`: what goes wrong is a `SourceError`."""
    return translated(Call(operation=operation, resource=f"{resource} in the emulator"))
