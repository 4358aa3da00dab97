"""Signatures are those of botocore's own signer."""

import datetime

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from broker.aws.signature import JsonApi, RequestSigner

LASTING = ReadOnlyCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None)
TEMPORARY = ReadOnlyCredentials("ASIAEXAMPLE", "another/secret+key", "FwoGZXIvYXdzEJr//token==")
NOON = datetime.datetime(2026, 11, 21, 12, 0, 0, tzinfo=datetime.UTC)


def api(endpoint_url: str = "https://sqs.eu-west-1.amazonaws.com", *, query_compatible: bool = True) -> JsonApi:
    return JsonApi(
        service="sqs",
        region="eu-west-1",
        endpoint_url=endpoint_url,
        target_prefix="AmazonSQS",
        query_compatible=query_compatible,
    )


@pytest.fixture
def sign_as_botocore(monkeypatch: pytest.MonkeyPatch):
    def sign(api: JsonApi, ours: dict[str, str], body: bytes, credentials, at: datetime.datetime) -> str:
        monkeypatch.setattr(auth, "get_current_datetime", lambda: at)
        added_by_signer = ("Host", "Authorization", "X-Amz-Date", "X-Amz-Security-Token")
        headers = {name: value for name, value in ours.items() if name not in added_by_signer}
        path = "" if api.path != "/" else "/"
        request = AWSRequest("POST", api.endpoint_url + path, headers=headers, data=body)
        auth.SigV4Auth(credentials, "sqs", "eu-west-1").add_auth(request)
        assert request.headers["X-Amz-Date"] == ours["X-Amz-Date"]
        return request.headers["Authorization"]

    return sign


@pytest.mark.parametrize("credentials", [LASTING, TEMPORARY], ids=["lasting", "temporary"])
@pytest.mark.parametrize("query_compatible", [True, False])
@pytest.mark.parametrize(
    "endpoint_url",
    [
        "https://sqs.eu-west-1.amazonaws.com",
        "https://sqs.cn-north-1.amazonaws.com.cn:443",
        "http://LOCALHOST:4566",
        "http://[::1]:4566",
        "http://127.0.0.1:9324/some path/x~y",
    ],
)
def test_a_signature_equals_that_of_botocore(
    sign_as_botocore, endpoint_url: str, query_compatible: bool, credentials: ReadOnlyCredentials
) -> None:
    service = api(endpoint_url, query_compatible=query_compatible)
    body = '{"QueueUrl":"ü"}'.encode()
    ours = RequestSigner(service).headers("ReceiveMessage", body, credentials, at=NOON.timestamp() + 0.7)
    assert ours["Authorization"] == sign_as_botocore(service, ours, body, credentials, NOON)


def test_the_derived_key_changes_with_the_day_and_the_secret(sign_as_botocore) -> None:
    service, body = api(), b"{}"
    signer = RequestSigner(service)
    for credentials, at in [
        (LASTING, NOON),
        (LASTING, NOON + datetime.timedelta(days=1)),
        (TEMPORARY, NOON + datetime.timedelta(days=1)),
        (LASTING, NOON),
    ]:
        ours = signer.headers("DeleteMessageBatch", body, credentials, at=at.timestamp())
        assert ours["Authorization"] == sign_as_botocore(service, ours, body, credentials, at)


def test_a_session_token_is_sent_and_signed() -> None:
    headers = RequestSigner(api()).headers("ReceiveMessage", b"{}", TEMPORARY, at=NOON.timestamp())
    assert headers["X-Amz-Security-Token"] == TEMPORARY.token
    assert "x-amz-security-token" in headers["Authorization"]


def test_the_secret_is_never_sent() -> None:
    headers = RequestSigner(api()).headers("ReceiveMessage", b"{}", LASTING, at=NOON.timestamp())
    assert LASTING.secret_key not in str(headers)
