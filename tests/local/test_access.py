"""What a web page, or anybody without the key of this start, gets from the servers of an embedded cloud."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from local.agentcore.data_plane import DataPlane
from local.agentcore.environments.settings import DataPlaneSettings
from local.emulator.clients import AccessKey, RootSession
from local.emulator.process import Emulator
from tests.local.conftest import DeployProgram

PAGE = {"Origin": "https://evil.example"}
FETCH = {"Sec-Fetch-Site": "cross-site"}
REBOUND = {"Host": "evil.example"}
FOREIGN = pytest.mark.parametrize(
    "foreign",
    [PAGE, {"Origin": "null"}, {"Origin": "http://127.0.0.1:8888"}, FETCH, REBOUND, {"Host": "127.0.0.1.evil.example"}],
    ids=str,
)


@pytest.fixture(scope="module")
def plane_url(emulator: Emulator) -> Iterator[str]:
    with DataPlane(DataPlaneSettings(warm_spares=0)) as plane:
        plane.start(emulator.url, emulator.client)
        yield plane.url


def send(url: str, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, bytes, Any]:
    """Send exactly this; gives status, body and headers of the answer."""
    target = urlsplit(url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


def signed(url: str, key: AccessKey, service: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
    """The headers of a POST with its signature."""
    request = AWSRequest("POST", f"{url}/", headers=headers, data=body)
    SigV4Auth(Credentials(key.access_key_id, key.secret_access_key), service, "us-east-1").add_auth(request)
    return dict(request.headers.items())


def list_tables(emulator: Emulator, key: AccessKey, **more: str) -> tuple[int, bytes, Any]:
    headers = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}
    return send(emulator.url, "POST", "/", signed(emulator.url, key, "dynamodb", headers, b"{}") | more, b"{}")


@FOREIGN
def test_the_emulator_refuses_what_only_a_page_sends_even_with_roots_own_signature(
    emulator: Emulator, foreign: dict[str, str]
) -> None:
    assert list_tables(emulator, emulator.key)[0] == 200
    assert list_tables(emulator, emulator.key, **foreign)[0] == 403


@FOREIGN
@pytest.mark.parametrize("path", ["/runtimes/arn%3Aaws/invocations", "/credentials"])
def test_so_does_the_data_plane(plane_url: str, path: str, foreign: dict[str, str]) -> None:
    status, body, _ = send(plane_url, "POST", path, foreign)
    assert status == 403
    assert "web pages" in body.decode() or "no other name" in body.decode()


def test_no_answer_lets_a_page_read_it(emulator: Emulator) -> None:
    status, _, headers = list_tables(emulator, emulator.key)
    assert (status, [name for name in headers if name.lower().startswith("access-control")]) == (200, [])
    status, _, headers = send(emulator.url, "OPTIONS", "/", PAGE | {"Access-Control-Request-Method": "POST"})
    assert (status, headers["Access-Control-Allow-Origin"]) == (403, None)


@pytest.mark.parametrize(
    "path", ["/_ministack/reset", "/_ministack/config", "/_ministack/health", "/_localstack/health", "/health"]
)
@pytest.mark.parametrize("authorization", [{}, {"Authorization": "Bearer guessed"}], ids=["no token", "a wrong one"])
def test_the_emulators_own_paths_need_the_secret(emulator: Emulator, path: str, authorization: dict[str, str]) -> None:
    bucket = "not-wiped"
    emulator.client("s3").create_bucket(Bucket=bucket)
    try:
        for method in ("GET", "POST"):
            assert send(emulator.url, method, path, authorization)[0] == 403
    finally:
        emulator.client("s3").delete_bucket(Bucket=bucket)


def test_with_the_secret_they_answer(emulator: Emulator) -> None:
    bearer = {"Authorization": f"Bearer {emulator.key.secret_access_key}"}
    assert send(emulator.url, "GET", "/_ministack/health", bearer)[0] == 200
    emulator.set({"stepfunctions._SFN_WAIT_SCALE": 1.0})


@pytest.mark.parametrize("key_id", ["test", "000000000000", "AKIAIOSFODNN7EXAMPLE"])
@pytest.mark.parametrize("service", ["dynamodb", "lambda", "s3", "sts", "stepfunctions", "logs", "iam"])
def test_nobody_is_root_by_ministacks_names_for_it(emulator: Emulator, service: str, key_id: str) -> None:
    calls = {
        "dynamodb": "list_tables",
        "lambda": "list_functions",
        "s3": "list_buckets",
        "sts": "get_caller_identity",
        "stepfunctions": "list_state_machines",
        "logs": "describe_log_groups",
        "iam": "list_roles",
    }
    client: Any = RootSession(emulator.url, AccessKey(key_id, "test")).client(service)
    with pytest.raises(ClientError, match=r"UnrecognizedClientException|InvalidClientTokenId|InvalidAccessKeyId"):
        getattr(client, calls[service])()


@pytest.mark.parametrize("service", ["dynamodb", "lambda", "s3", "sts"])
def test_roots_signature_is_checked(emulator: Emulator, service: str) -> None:
    calls = {
        "dynamodb": "list_tables",
        "lambda": "list_functions",
        "s3": "list_buckets",
        "sts": "get_caller_identity",
    }
    forged = AccessKey(emulator.key.access_key_id, "guessed")
    client: Any = RootSession(emulator.url, forged).client(service)
    with pytest.raises(ClientError, match=r"Signature"):
        getattr(client, calls[service])()


def test_a_forged_presigned_address_is_refused_and_a_real_one_works(emulator: Emulator) -> None:
    emulator.client("s3").create_bucket(Bucket="presigned")
    emulator.client("s3").put_object(Bucket="presigned", Key="key", Body=b"content")
    forged = RootSession(emulator.url, AccessKey(emulator.key.access_key_id, "guessed"))
    for session_client, expected in ((emulator.client("s3"), 200), (forged.client("s3"), 403)):
        url = session_client.generate_presigned_url("get_object", Params={"Bucket": "presigned", "Key": "key"})
        assert send(emulator.url, "GET", url.removeprefix(emulator.url), {})[0] == expected


def test_without_a_signature_nothing_is_done(emulator: Emulator) -> None:
    target = {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Content-Type": "application/x-amz-json-1.0"}
    for path, headers in (("/", target), ("/2015-03-31/functions/", {}), ("/some-bucket", {}), ("/", {})):
        status, body, _ = send(emulator.url, "POST", path, headers, b"{}")
        assert (status, json.loads(body)["__type"]) == (403, "MissingAuthenticationTokenException")


def test_each_start_has_a_key_of_its_own(emulator: Emulator) -> None:
    with Emulator() as other:
        assert other.key != emulator.key
        with pytest.raises(ClientError):
            RootSession(other.url, emulator.key).client("dynamodb").list_tables()


def test_functions_do_not_see_roots_key(emulator: Emulator) -> None:
    environment = emulator._environment(1, "token")
    assert emulator.key.secret_access_key in environment.values()
    functions = emulator.client("lambda").list_functions()["Functions"]
    assert emulator.key.secret_access_key not in json.dumps(functions, default=str)


def test_lambdas_runtime_api_is_not_for_pages_either(emulator: Emulator, deploy_program: DeployProgram) -> None:
    deploy_program(
        """
        role = aws.iam.Role("paged", name="paged", assume_role_policy=json.dumps({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
                           "Principal": {"Service": "lambda.amazonaws.com"}}],
        }))
        aws.lambda_.Function(
            "paged", name="paged", role=role.arn, runtime="python3.13", handler="handlers.handle",
            code=pulumi.AssetArchive({"handlers.py": pulumi.StringAsset(
                "import os\\ndef handle(event, context): return dict(os.environ)"
            )}),
        )
        """
    )
    answer = emulator.client("lambda").invoke(FunctionName="paged")
    environment = json.load(answer["Payload"])
    assert emulator.key.secret_access_key not in environment.values()
    url = f"http://{environment['AWS_LAMBDA_RUNTIME_API']}"
    assert send(url, "GET", "/2018-06-01/runtime/invocation/next", FETCH)[0] == 403


def test_boto3_takes_the_key_as_the_readme_says(emulator: Emulator) -> None:
    client = boto3.client(
        "sts",
        "us-east-1",
        endpoint_url=emulator.url,
        aws_access_key_id=emulator.key.access_key_id,
        aws_secret_access_key=emulator.key.secret_access_key,
    )
    assert client.get_caller_identity()["Arn"].endswith(":root")
