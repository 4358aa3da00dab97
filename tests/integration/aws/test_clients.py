"""Clients are found by the standard chain, opened once and closed last."""

from pathlib import Path

import anyio
import pytest

from broker.aws import clients as clients_module
from broker.aws.clients import Clients, ClientSettings
from broker.aws.faults import Call, translated
from broker.errors import SourceError
from tests.integration.aws.raw_server import Bad, RawServer, answer

pytestmark = pytest.mark.asyncio

IDENTITY = b"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"""


async def test_a_client_is_opened_once_for_each_service_and_region(clients: Clients, environment) -> None:
    first = await clients.client("sqs", "eu-west-1")
    assert await clients.client("sqs", "eu-west-1") is first
    assert await clients.client("sqs", "eu-west-2") is not first
    assert await clients.json_endpoint("sqs", "eu-west-1") is await clients.json_endpoint("sqs", "eu-west-1")


async def test_those_who_ask_at_once_share_one_client(clients: Clients, environment) -> None:
    found: list[object] = []

    async def ask() -> None:
        found.append(await clients.json_endpoint("sqs", "eu-west-1"))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
    assert len(found) == 5
    assert len(set(map(id, found))) == 1


async def test_endpoints_share_one_pool(clients: Clients, server: RawServer) -> None:
    server.reply = answer({})
    for region in ("eu-west-1", "eu-west-2"):
        await (await clients.json_endpoint("sqs", region)).call("ReceiveMessage", {})
    assert server.connections == 1


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-west-1", "https://sqs.eu-west-1.amazonaws.com"),
        ("cn-north-1", "https://sqs.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "https://sqs.us-gov-west-1.amazonaws.com"),
    ],
)
async def test_endpoints_are_those_of_the_region(clients: Clients, region: str, url: str) -> None:
    api = (await clients.json_endpoint("sqs", region)).api
    assert (api.endpoint_url, api.region, api.service) == (url, region, "sqs")
    assert (api.target_prefix, api.json_version, api.query_compatible) == ("AmazonSQS", "1.0", True)


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"])
async def test_endpoints_of_the_environment_win(clients: Clients, environment, variable: str) -> None:
    environment.setenv(variable, "http://127.0.0.1:4566")
    assert (await clients.json_endpoint("sqs", "eu-west-1")).api.endpoint_url == "http://127.0.0.1:4566"


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS"])
async def test_streams_of_dynamodb_are_signed_for_as_dynamodb(clients: Clients, environment, variable: str) -> None:
    environment.setenv(variable, "http://127.0.0.1:8000")
    api = (await clients.json_endpoint("dynamodbstreams", "eu-west-1")).api
    assert (api.endpoint_url, api.service, api.query_compatible) == ("http://127.0.0.1:8000", "dynamodb", False)
    assert (api.target_prefix, api.json_version) == ("DynamoDBStreams_20120810", "1.0")


async def test_a_client_tries_once_where_that_is_asked_for(server: RawServer, environment) -> None:
    server.reply = answer(b"", status=500)
    async with Clients() as clients:
        client = await clients.client("sns", "eu-west-1", attempts=1)
        assert await clients.client("sns", "eu-west-1") is not client
        with pytest.raises(SourceError), translated(Call(operation="Publish")):
            await client.publish(TopicArn="arn:aws:sns:eu-west-1:123456789012:failures", Message="{}")
    assert len(server.requests) == 1


async def test_without_credentials_the_fault_says_where_they_are_looked_for(bare_environment) -> None:
    async with Clients() as clients:
        with pytest.raises(SourceError, match=r"no AWS credentials were found.*AWS_ACCESS_KEY_ID") as caught:
            await clients.json_endpoint("sqs", "eu-west-1")
    assert caught.value.code == "NoCredentialsError"


async def test_credentials_that_come_later_are_found(bare_environment) -> None:
    async with Clients() as clients:
        with pytest.raises(SourceError):
            await clients.client("sqs", "eu-west-1")
        bare_environment.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        bare_environment.setenv("AWS_SECRET_ACCESS_KEY", "SECRETEXAMPLE")
        await clients.client("sqs", "eu-west-1")


async def test_the_region_is_that_of_the_environment_if_any(environment) -> None:
    async with Clients() as clients:
        assert clients.region is None
    environment.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    async with Clients() as clients:
        assert clients.region == "eu-central-1"


async def test_a_profile_that_does_not_exist_is_named(environment) -> None:
    environment.setenv("AWS_PROFILE", "nobody")
    async with Clients() as clients:
        with pytest.raises(SourceError, match="nobody") as caught:
            await clients.client("sqs", "eu-west-1")
    assert not caught.value.retryable


async def test_an_endpoint_that_is_no_url_is_named(environment) -> None:
    environment.setenv("AWS_ENDPOINT_URL", "elsewhere")
    async with Clients() as clients:
        with pytest.raises(SourceError, match="elsewhere") as caught:
            await clients.client("sqs", "eu-west-1")
    assert not caught.value.retryable


async def test_a_credential_process_that_does_not_start_is_named(bare_environment, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\ncredential_process = /no/such/program\n")
    bare_environment.setenv("AWS_CONFIG_FILE", str(config))
    async with Clients() as clients:
        with pytest.raises(SourceError, match="/no/such/program"):
            await clients.client("sqs", "eu-west-1")


async def test_the_account_is_told_by_sts(server: RawServer, clients: Clients) -> None:
    server.reply = answer(IDENTITY)
    assert await clients.account_id() == "123456789012"


@pytest.mark.parametrize("reply", [answer(b"", status=403), Bad.DROPS, b"nonsense\r\n\r\n"])
async def test_the_account_is_unknown_where_sts_fails(server: RawServer, clients: Clients, reply: bytes | Bad) -> None:
    server.reply = reply
    assert await clients.account_id() is None


async def test_the_account_is_unknown_without_credentials(bare_environment) -> None:
    async with Clients() as clients:
        assert await clients.account_id() is None


async def test_the_account_is_not_waited_for(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients_module, "_IDENTITY_SECONDS", 0.1)
    server.reply = Bad.STAYS_SILENT
    async with Clients(ClientSettings(answer_seconds=600.0)) as clients:
        assert await clients.account_id() is None
