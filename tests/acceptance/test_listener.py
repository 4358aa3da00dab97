"""The HTTP listener on a real socket."""

import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from broker.api.listener import HttpListener, control_plane_application, health_application
from broker.errors import ListenerError
from broker.model.status import MappingStatus, QueueStatistics

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class OneMapping:
    def __init__(self) -> None:
        self.healthy = True
        self.is_running = True

    def statuses(self) -> tuple[MappingStatus, ...]:
        return (
            MappingStatus(
                uuid="u-1",
                function_name="orders",
                event_source_arn="arn:aws:sqs:eu-west-1:123456789012:orders",
                state="Enabled",
                healthy=self.healthy,
                problem="" if self.healthy else "the queue does not exist",
                statistics=QueueStatistics(polled_count=3),
            ),
        )


@pytest.fixture
def broker() -> OneMapping:
    return OneMapping()


@pytest.fixture
async def url(broker: OneMapping) -> AsyncIterator[str]:
    application = control_plane_application(broker, host="127.0.0.1")
    async with HttpListener(
        host="127.0.0.1", port=0, application=application, setting="ControlPlane.Listen"
    ) as listener:
        yield listener.url


async def get(url: str, **headers: str) -> tuple[int, object]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_a_live_and_ready_broker_says_so(url: str) -> None:
    assert await get(f"{url}/livez") == (200, {"alive": True})
    assert await get(f"{url}/readyz") == (200, {"ready": True, "problem": "", "unready": []})


async def test_readiness_fails_with_503_and_names_the_mapping(url: str, broker: OneMapping) -> None:
    broker.healthy = False
    status, answer = await get(f"{url}/readyz")
    assert status == 503
    assert "the queue does not exist" in str(answer)
    assert (await get(f"{url}/livez"))[0] == 200


async def test_a_broker_that_drains_lives_but_is_not_ready(url: str, broker: OneMapping) -> None:
    broker.is_running = False
    assert (await get(f"{url}/readyz"))[0] == 503
    assert (await get(f"{url}/livez"))[0] == 200


async def test_the_status_lists_every_mapping_with_its_counts(url: str) -> None:
    status, answer = await get(f"{url}/status")
    assert status == 200
    assert [(each["function_name"], each["statistics"]["polled_count"]) for each in answer] == [("orders", 3)]


async def test_the_status_is_refused_to_a_rebound_name_but_probes_are_not(url: str) -> None:
    assert (await get(f"{url}/status", Host="evil.example"))[0] == 403
    assert (await get(f"{url}/readyz", Host="evil.example"))[0] == 200


async def test_the_health_listener_does_not_show_the_status(broker: OneMapping) -> None:
    application = health_application(broker)
    async with (
        HttpListener(host="127.0.0.1", port=0, application=application, setting="Health.Listen") as listener,
        aiohttp.ClientSession() as session,
        session.get(f"{listener.url}/status") as answer,
    ):
        assert answer.status == 404


async def test_a_port_in_use_names_the_setting_and_what_to_do(broker: OneMapping) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listener = HttpListener(
            host="127.0.0.1",
            port=port,
            application=health_application(broker),
            setting="ControlPlane.Listen",
            variable="BROKER_CONTROL_PLANE__LISTEN",
        )
        with pytest.raises(ListenerError) as refused:
            await listener.__aenter__()
    assert str(refused.value) == (
        f"ControlPlane.Listen 127.0.0.1:{port}: address in use; "
        "choose another with BROKER_CONTROL_PLANE__LISTEN or stop the other process"
    )
