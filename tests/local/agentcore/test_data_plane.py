"""The data plane as callers see it: real boto3 clients, a real agent, IAM by the emulator."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from local.agentcore.data_plane import DataPlane, DataPlaneError
from local.agentcore.environments.settings import DataPlaneSettings
from local.agentcore.protocol.requests import PAYLOAD_MAX_BYTES, SESSION_HEADER
from local.emulator.clients import AccessKey
from local.emulator.process import Emulator
from tests.support.agentcore_account import INVOKE, REAL_AGENT, STOP, AgentCoreAccount, ask, client_of, new_session
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agentcore import BedrockAgentCoreClient

UNKNOWN_RUNTIME = "arn:aws:bedrock-agentcore:us-east-1:000000000000:runtime/unknown-0123456789"


@pytest.fixture(scope="module")
def account(emulator: Emulator) -> AgentCoreAccount:
    return AgentCoreAccount(emulator)


@pytest.fixture(scope="module")
def plane(emulator: Emulator) -> Iterator[DataPlane]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_OF_THIS_MACHINE", "for no agent")
        with DataPlane(DataPlaneSettings(max_environments=64, warm_spares=0)) as running:
            running.start(emulator.url, emulator.client)
            yield running


@pytest.fixture(scope="module")
def runtime(account: AgentCoreAccount) -> str:
    """A runtime with an endpoint `live`; its ARN."""
    arn = account.runtime(REAL_AGENT, environment={"MODEL_ID": "a-model", "PORT": "1"})
    account.endpoint(arn, "live")
    return arn


@pytest.fixture(scope="module")
def client(plane: DataPlane, emulator: Emulator) -> BedrockAgentCoreClient:
    return client_of(plane.url, emulator.key)


@pytest.fixture(scope="module")
def session(client: BedrockAgentCoreClient, runtime: str) -> str:
    """A session of `runtime` that has its environment."""
    session_id = new_session()
    ask(client, runtime, session_id)
    return session_id


def refusal(call: Callable[..., Any], **parameters: Any) -> tuple[str, int, str]:
    """Code, HTTP status and message of the error that a call ends in."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response: Any = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


# What goes through


def test_the_answer_has_the_shape_that_aws_gives_it(client: BedrockAgentCoreClient, runtime: str, session: str) -> None:
    trace = {"traceId": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1", "traceParent": "00-a-b-01"}
    answer = client.invoke_agent_runtime(
        agentRuntimeArn=runtime,
        runtimeSessionId=session,
        payload=b'{"question": "why"}',
        contentType="application/json",
        **trace,
    )
    body = json.loads(answer["response"].read())
    assert (answer["statusCode"], answer["contentType"]) == (200, "application/json")
    assert (answer["runtimeSessionId"], answer["traceId"], answer["traceParent"]) == (session, *trace.values())
    assert answer["ResponseMetadata"]["RequestId"]
    assert (body["payload"], body["session"]) == ({"question": "why"}, session)


def test_the_agent_gets_ids_and_traces_but_nothing_of_the_signature(
    client: BedrockAgentCoreClient, runtime: str, session: str
) -> None:
    headers = ask(client, runtime, session)["headers"]
    assert headers["x-amzn-bedrock-agentcore-runtime-session-id"] == session
    assert headers["x-amzn-bedrock-agentcore-runtime-request-id"]
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", headers["x-amzn-trace-id"])
    assert not {"authorization", "x-amz-date", "x-amz-security-token"} & headers.keys()


def test_bytes_pass_through_as_they_are(client: BedrockAgentCoreClient, runtime: str, session: str) -> None:
    payload = json.dumps({"do": "raw", "hex": "00ff0d0a"}).encode()
    answer = client.invoke_agent_runtime(agentRuntimeArn=runtime, runtimeSessionId=session, payload=payload)
    assert (answer["statusCode"], answer["contentType"]) == (202, "application/octet-stream")
    assert answer["response"].read() == b"\x00\xff\r\n"


def test_a_stream_arrives_as_it_is_made(client: BedrockAgentCoreClient, runtime: str, session: str) -> None:
    payload = b'{"do": "stream_for_ever"}'
    answer = client.invoke_agent_runtime(agentRuntimeArn=runtime, runtimeSessionId=session, payload=payload)
    lines = answer["response"].iter_lines(chunk_size=8)
    assert [next(lines) for _ in range(3)] == [b'data: "and on"', b"", b'data: "and on"']
    answer["response"].close()
    finished = client.invoke_agent_runtime(
        agentRuntimeArn=runtime, runtimeSessionId=session, payload=b'{"do": "stream"}'
    )
    assert finished["contentType"].startswith("text/event-stream")
    assert finished["response"].read().count(b"data: ") == 3


def test_a_session_keeps_its_environment_and_shares_it_with_none(
    client: BedrockAgentCoreClient, runtime: str, session: str
) -> None:
    first, second = (ask(client, runtime, session)["pid"] for _ in range(2))
    assert first == second
    other = new_session()
    assert ask(client, runtime, other)["pid"] != first
    client.stop_runtime_session(agentRuntimeArn=runtime, runtimeSessionId=other)


def test_a_request_without_a_session_id_gets_one(
    client: BedrockAgentCoreClient, plane: DataPlane, emulator: Emulator, runtime: str
) -> None:
    def remove_session_id(request: Any, **_: Any) -> None:
        del request.headers[SESSION_HEADER]

    forgetful = client_of(plane.url, emulator.key)
    forgetful.meta.events.register("before-sign.bedrock-agentcore", remove_session_id)
    answer = forgetful.invoke_agent_runtime(agentRuntimeArn=runtime, payload=b"{}")
    assert len(answer["runtimeSessionId"]) == 36
    assert json.loads(answer["response"].read())["session"] == answer["runtimeSessionId"]
    client.stop_runtime_session(agentRuntimeArn=runtime, runtimeSessionId=answer["runtimeSessionId"])


# What the agent is given


def test_an_agent_runs_with_the_rights_of_its_role_and_no_others(
    client: BedrockAgentCoreClient, account: AgentCoreAccount
) -> None:
    role = account.role(("s3:PutObject", f"arn:aws:s3:::{account.bucket}/elsewhere/*"))
    runtime, session_id = account.runtime(REAL_AGENT, role=role), new_session()
    identity = ask(client, runtime, session_id, do="identity")
    assert identity == f"arn:aws:sts::000000000000:assumed-role/{role.rpartition('/')[2]}/BedrockAgentCore"
    code, status, message = refusal(
        client.invoke_agent_runtime,
        agentRuntimeArn=runtime,
        runtimeSessionId=session_id,
        payload=json.dumps({"do": "put_object", "bucket": account.bucket}).encode(),
    )
    assert (code, status) == ("RuntimeClientError", 424)
    assert message.startswith("Received error (500) from runtime.")
    wait_until(lambda: "AccessDenied" in account.log(runtime, session_id), "the denial is in the agent's log")
    client.stop_runtime_session(agentRuntimeArn=runtime, runtimeSessionId=session_id)


def test_an_agent_sees_the_runtimes_variables_and_nothing_of_this_machine(
    client: BedrockAgentCoreClient, runtime: str, session: str
) -> None:
    variables = ask(client, runtime, session, do="variables")
    assert variables["MODEL_ID"] == "a-model"
    assert variables["HOST"] == "127.0.0.1"
    assert variables["PORT"] != "1"
    assert not variables.keys() & {"PATH", "SECRET_OF_THIS_MACHINE", "AWS_ACCESS_KEY_ID", "AWS_REGION"}
    # The data plane's own folder, not what this machine may have set.
    assert variables["PYTHONPATH"].endswith("agent_path")
    assert os.path.isdir(variables["TMPDIR"])  # noqa: PTH112
    assert variables["TMPDIR"] == variables["HOME"]


def test_credentials_are_for_the_environment_that_they_belong_to(plane: DataPlane, session: str) -> None:
    assert session in {each.session_id for each in plane.environments()}
    with socket.create_connection(("127.0.0.1", int(plane.url.rpartition(":")[2]))) as connection:
        connection.sendall(
            b"GET /credentials HTTP/1.1\r\nHost: x\r\nAuthorization: guessed\r\nConnection: close\r\n\r\n"
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 403 ")


# What is refused


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"agentRuntimeArn": "not-an-arn"}, "agentRuntimeArn"),
        ({"agentRuntimeArn": "arn:aws:lambda:us-east-1:000000000000:function:f"}, "agentRuntimeArn"),
        ({"runtimeSessionId": "s" * 32}, "runtimeSessionId"),
        ({"runtimeSessionId": "s" * 257}, "runtimeSessionId"),
        ({"runtimeUserId": "somebody"}, "runtimeUserId"),
    ],
)
def test_a_malformed_request_is_refused_by_name(
    client: BedrockAgentCoreClient, runtime: str, wrong: dict[str, str], named: str
) -> None:
    request = {"agentRuntimeArn": runtime, "runtimeSessionId": new_session(), "payload": b"{}"} | wrong
    code, status, message = refusal(client.invoke_agent_runtime, **request)
    assert (code, status) == ("ValidationException", 400)
    assert named in message


def test_a_payload_may_have_100_million_bytes_and_no_more(client: BedrockAgentCoreClient, runtime: str) -> None:
    code, status, message = refusal(
        client.invoke_agent_runtime, agentRuntimeArn=runtime, payload=bytes(PAYLOAD_MAX_BYTES + 1)
    )
    assert (code, status) == ("ValidationException", 400)
    assert "100000001" in message


def test_what_does_not_exist_is_not_found(client: BedrockAgentCoreClient, runtime: str) -> None:
    not_found = ("ResourceNotFoundException", 404)
    assert refusal(client.invoke_agent_runtime, agentRuntimeArn=UNKNOWN_RUNTIME, payload=b"")[:2] == not_found
    invoke = refusal(client.invoke_agent_runtime, agentRuntimeArn=runtime, qualifier="other", payload=b"")
    assert invoke[:2] == not_found
    assert "'other'" in invoke[2]
    stop = refusal(client.stop_runtime_session, agentRuntimeArn=runtime, runtimeSessionId=new_session())
    assert stop[:2] == not_found


def test_other_operations_are_refused_by_name(client: BedrockAgentCoreClient) -> None:
    code, status, message = refusal(client.list_actors, memoryId="memory-0123456789")
    assert (code, status) == ("UnknownOperationException", 404)
    assert "/memories/" in message


@pytest.mark.parametrize("status", [400, 403, 500])
def test_an_error_of_the_agent_is_424_with_nothing_but_its_status(
    client: BedrockAgentCoreClient, runtime: str, session: str, status: int
) -> None:
    refused = refusal(
        client.invoke_agent_runtime,
        agentRuntimeArn=runtime,
        runtimeSessionId=session,
        payload=json.dumps({"do": "refuse", "status": status}).encode(),
    )
    message = f"Received error ({status}) from runtime. Please check your CloudWatch logs for more information."
    assert refused == ("RuntimeClientError", 424, message)


# What the platform does to a real agent


def test_a_real_agent_lives_while_it_works_and_no_longer(emulator: Emulator, account: AgentCoreAccount) -> None:
    runtime = account.runtime(REAL_AGENT, idleRuntimeSessionTimeout=60)
    session_id = new_session()
    quick = DataPlaneSettings(warm_spares=0, ping_interval_seconds=0.05, lifecycle_factor=0.005)
    with DataPlane(quick) as plane:
        plane.start(emulator.url, emulator.client)
        client = client_of(plane.url, emulator.key)
        began = time.monotonic()
        assert ask(client, runtime, session_id, do="start_work", seconds=1) == "started"
        wait_until(lambda: not plane.environments(), "the environment is gone")
        assert time.monotonic() - began > 1
    assert "Async task completed: work" in account.log(runtime, session_id)


def test_a_real_agent_that_is_stopped_at_work_frees_its_place_within_a_second(
    emulator: Emulator, account: AgentCoreAccount
) -> None:
    runtime = account.runtime(REAL_AGENT)
    with DataPlane(DataPlaneSettings(warm_spares=0, max_environments=1)) as plane:
        plane.start(emulator.url, emulator.client)
        client = client_of(plane.url, emulator.key)
        for _ in range(2):
            session_id = new_session()
            ask(client, runtime, session_id, do="start_work", seconds=60)
            client.stop_runtime_session(agentRuntimeArn=runtime, runtimeSessionId=session_id)
            wait_until(lambda: not plane.environments(), "its place is free", seconds=1)


# Who may


def test_a_role_may_do_what_its_policies_allow_on_runtime_and_endpoint(
    plane: DataPlane, account: AgentCoreAccount, runtime: str
) -> None:
    resources = (runtime, f"{runtime}/runtime-endpoint/live")
    caller = account.caller(plane.url, *((action, on) for action in (INVOKE, STOP) for on in resources))
    session_id = new_session()
    assert ask(caller, runtime, session_id, qualifier="live")["session"] == session_id
    stopped = caller.stop_runtime_session(agentRuntimeArn=runtime, runtimeSessionId=session_id, qualifier="live")
    assert (stopped["statusCode"], stopped["runtimeSessionId"]) == (200, session_id)
    code, status, message = refusal(caller.invoke_agent_runtime, agentRuntimeArn=runtime, payload=b"{}")
    assert (code, status) == ("AccessDeniedException", 403)
    assert INVOKE in message


def test_a_missing_permission_is_denied_by_its_name(
    plane: DataPlane, account: AgentCoreAccount, runtime: str, session: str
) -> None:
    may_stop, may_invoke = (account.caller(plane.url, (action, f"{runtime}*")) for action in (STOP, INVOKE))
    code, status, message = refusal(may_stop.invoke_agent_runtime, agentRuntimeArn=runtime, payload=b"{}")
    assert (code, status) == ("AccessDeniedException", 403)
    assert INVOKE in message
    code, status, message = refusal(may_invoke.stop_runtime_session, agentRuntimeArn=runtime, runtimeSessionId=session)
    assert (code, status) == ("AccessDeniedException", 403)
    assert f"{STOP} on resource: {runtime}" in message


def test_stopping_takes_the_right_on_the_endpoint_as_well(
    plane: DataPlane, account: AgentCoreAccount, runtime: str, session: str
) -> None:
    caller = account.caller(plane.url, (STOP, runtime))
    message = refusal(caller.stop_runtime_session, agentRuntimeArn=runtime, runtimeSessionId=session)[2]
    assert f"{runtime}/runtime-endpoint/DEFAULT" in message


def reverse_body(request: Any, **_: Any) -> None:
    request.body = request.body[::-1]


def remove_signature(request: Any, **_: Any) -> None:
    del request.headers["Authorization"]


def sign_for_another_service(request: Any, **_: Any) -> None:
    request.context["signing"] = {"signing_name": "states"}


@pytest.mark.parametrize(
    ("event", "change", "code"),
    [
        ("before-send", reverse_body, "InvalidSignatureException"),
        ("before-send", remove_signature, "MissingAuthenticationTokenException"),
        ("before-sign", sign_for_another_service, "InvalidSignatureException"),
    ],
)
def test_what_was_not_signed_like_this_is_not_accepted(
    plane: DataPlane, account: AgentCoreAccount, runtime: str, event: str, change: Callable[..., None], code: str
) -> None:
    caller = account.caller(plane.url, (INVOKE, f"{runtime}*"), (STOP, f"{runtime}*"))
    caller.meta.events.register(f"{event}.bedrock-agentcore", change)
    invoke = refusal(caller.invoke_agent_runtime, agentRuntimeArn=runtime, payload=b"{}")
    stop = refusal(caller.stop_runtime_session, agentRuntimeArn=runtime, runtimeSessionId=new_session())
    assert invoke[:2] == stop[:2] == (code, 403)


def test_unknown_credentials_are_not_accepted(plane: DataPlane, runtime: str) -> None:
    stranger = client_of(plane.url, AccessKey.new())
    invoke = refusal(stranger.invoke_agent_runtime, agentRuntimeArn=runtime, payload=b"{}")
    stop = refusal(stranger.stop_runtime_session, agentRuntimeArn=runtime, runtimeSessionId=new_session())
    assert invoke[:2] == stop[:2] == ("UnrecognizedClientException", 403)


# Logs


def test_output_goes_to_a_stream_of_session_and_environment(
    client: BedrockAgentCoreClient, plane: DataPlane, account: AgentCoreAccount, runtime: str
) -> None:
    session_id = new_session()
    ask(client, runtime, session_id, qualifier="live", do="say", text="on stdout: häuser\n")
    ask(client, runtime, session_id, qualifier="live", do="say", text="on stderr\n", error=True)
    environment = next(each for each in plane.environments() if each.session_id == session_id)
    wait_until(lambda: "on stderr" in account.log(runtime, session_id, "live"), "the last line is in the log")
    ((stream, text),) = account.log_streams(runtime, session_id, "live").items()
    name = rf"\d{{4}}/\d\d/\d\d/\[runtime-logs-{session_id}\]{environment.environment_id}"
    assert re.fullmatch(name, stream)
    assert text.index("on stdout: häuser") < text.index("on stderr")
    client.stop_runtime_session(agentRuntimeArn=runtime, runtimeSessionId=session_id, qualifier="live")


# The server itself


def test_a_taken_port_is_one_clear_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DataPlaneError, match=rf"Port {port} on 127\.0\.0\.1"):
            DataPlane(DataPlaneSettings(port=port))


def test_a_data_plane_that_does_not_run_says_so() -> None:
    with DataPlane() as plane, pytest.raises(DataPlaneError, match="not running"):
        plane.environments()


@pytest.mark.parametrize("wrong", [{"max_environments": 0}, {"warm_spares": -1}, {"stop_grace_seconds": 0}])
def test_an_impossible_setting_is_refused_by_name(wrong: dict[str, Any]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=rf"DataPlaneSettings\.{name} is {value}"):
        DataPlaneSettings(**wrong)
