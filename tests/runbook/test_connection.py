"""From the name of a stack to a runbook, and what is said when something is missing."""

from __future__ import annotations

import json
import re
import stat
import time
from pathlib import Path
from unittest import mock

import pytest
from botocore.stub import Stubber

from local import stack_file
from local.emulator.clients import AccessKey
from runbook import connection
from runbook.clients import Clients
from runbook.connection import PROJECT, connect
from runbook.errors import CloudNotRunning, CredentialsUnusable, StackNotDeployed, StackNotFound
from runbook.runbook import Runbook
from tests.runbook.conftest import ACCOUNT, CREDENTIALS, REGION, stack_outputs
from tests.support.http_server import HttpServer, Reply

FREE_PORT_URL = "http://127.0.0.1:9"  # discard: nothing listens there


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Pulumi CLI that prints what stands in a file next to it and ends with the code in another."""
    program = tmp_path / "pulumi"
    program.write_text(f'#!/bin/sh\ncat {tmp_path}/out\ncat {tmp_path}/err >&2\nexit "$(cat {tmp_path}/code)"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    for name, text in (("out", "{}"), ("err", ""), ("code", "0")):
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return tmp_path


def test_an_embedded_cloud_that_is_not_running_is_a_plain_sentence(tmp_path: Path) -> None:
    with pytest.raises(CloudNotRunning, match="is not running: start it with `make local`"):
        connect("local", environ={"RUNBOOK_STACK_FILE": str(tmp_path / "stack.json")})


def test_one_module_knows_the_embedded_cloud_and_what_it_knows_does_not_know_the_runbook() -> None:
    def importing(package: str, root: str) -> set[str]:
        imports = re.compile(rf"^ *(from|import) {package}\b", re.MULTILINE)
        found = [path for path in (PROJECT / root).rglob("*.py") if imports.search(path.read_text("utf-8"))]
        return {str(path.relative_to(PROJECT)) for path in found}

    assert importing("local", "runbook") == {"runbook/connection.py"}
    replay = {f"local/replay/{name}.py" for name in ("playing", "record/folder", "shown")}
    assert importing("runbook", "local") == {"local/__main__.py", "local/run.py", "local/samples.py"} | replay


def test_the_description_of_an_embedded_cloud_that_was_killed_is_seen_through(tmp_path: Path) -> None:
    path = described(tmp_path, FREE_PORT_URL)
    with pytest.raises(CloudNotRunning, match="leads to no embedded cloud that runs"):
        connect("local", environ={"RUNBOOK_STACK_FILE": path})


def test_a_runbook_follows_its_cloud_to_another_port_and_says_so_when_there_is_none(tmp_path: Path) -> None:
    account = stack_outputs("local")["agentRuntimeArn"].split(":")[4]
    result = f"<GetCallerIdentityResult><Account>{account}</Account></GetCallerIdentityResult>"
    reply = Reply(200, f"<GetCallerIdentityResponse>{result}</GetCallerIdentityResponse>".encode())
    with HttpServer(reply) as first:
        path = described(tmp_path, first.url)
        runbook = connect("local", environ={"RUNBOOK_STACK_FILE": path})
    with pytest.raises(CloudNotRunning, match="leads to no embedded cloud that runs"):
        runbook.outcome("0" * 36)
    Path(path).unlink()
    with pytest.raises(CloudNotRunning, match="is not running: start it with `make local`"):
        runbook.outcome("0" * 36)
    with HttpServer(Reply(200, b"{}")) as second:
        described(tmp_path, second.url)
        assert runbook.outcome("0" * 36) is None
        assert second.requests


FOREIGN = {
    "a page": Reply(200, b"<html>hello</html>", {"Content-Type": "text/html"}),
    "JSON": Reply(200, b'{"hello": 1}', {"Content-Type": "application/json"}),
    "nothing": Reply(200),
    "no such page": Reply(404, b"no", {"Content-Type": "text/plain"}),
    "no such method": Reply(501, b"<html>no</html>"),
}


@pytest.mark.parametrize("foreign", FOREIGN)
def test_another_server_on_the_port_of_a_cloud_that_was_killed_is_not_taken_for_it(
    tmp_path: Path, foreign: str
) -> None:
    with HttpServer(FOREIGN[foreign]) as server, pytest.raises(CloudNotRunning) as caught:
        connect("local", environ={"RUNBOOK_STACK_FILE": described(tmp_path, server.url)})
    assert "stack.json leads to no embedded cloud that runs" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_endpoint_that_says_nothing_is_found_out_in_seconds(tmp_path: Path) -> None:
    began = time.monotonic()
    with HttpServer(Reply(hangs=True)) as server, pytest.raises(CloudNotRunning, match="Read timeout"):
        connect("local", environ={"RUNBOOK_STACK_FILE": described(tmp_path, server.url)})
    assert time.monotonic() - began < 15


def test_no_client_waits_longer_than_a_minute_for_a_service_that_says_nothing(clients: Clients) -> None:
    for service in ("dynamodb", "s3", "stepfunctions", "logs", "events", "sqs", "agentcore_control"):
        config = getattr(clients, service).meta.config
        assert config.retries["total_max_attempts"] * config.read_timeout <= 60, service


def test_an_endpoint_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CloudNotRunning, match="nonsense"):
        connect("local", environ={"RUNBOOK_STACK_FILE": described(tmp_path, "nonsense")})


def test_a_description_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CloudNotRunning, match=f"{tmp_path} is not a description of an embedded cloud"):
        connect("local", environ={"RUNBOOK_STACK_FILE": str(tmp_path)})


def described(folder: Path, url: str) -> str:
    """Write the description of a cloud there, and return its path."""
    path = folder / "stack.json"
    stack_file.write(stack_file.LocalStack(url, url, REGION, "local", stack_outputs("local"), AccessKey.new()), path)
    return str(path)


def test_an_embedded_cloud_of_another_version_is_not_for_pulumi_to_deploy(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    outputs = {name: value for name, value in stack_outputs("local").items() if name != "deadLetterQueueUrl"}
    for lacking in (outputs, {}):
        stack = stack_file.LocalStack(FREE_PORT_URL, FREE_PORT_URL, REGION, "local", lacking, AccessKey.new())
        stack_file.write(stack, path)
        with pytest.raises(CloudNotRunning, match=r"another version.*`make local`"):
            connect("local", environ={"RUNBOOK_STACK_FILE": str(path)})


def test_a_file_that_is_no_description_is_named(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{}")
    with pytest.raises(CloudNotRunning, match=r"stack\.json is not a description"):
        connect("local", environ={"RUNBOOK_STACK_FILE": str(tmp_path / "stack.json")})


def test_a_stack_that_pulumi_doesn_t_know_is_not_found(pulumi: Path) -> None:
    (pulumi / "code").write_text("255")
    (pulumi / "err").write_text("error: no stack named 'prod' found\n")
    with pytest.raises(StackNotFound, match="'prod': no stack named 'prod' found"):
        connect("prod")


def test_without_the_pulumi_cli_it_is_said_where_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackNotFound, match="not on PATH"):
        connect("prod")


def test_a_pulumi_that_doesn_t_answer_is_not_waited_for(pulumi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pulumi / "pulumi").write_text("#!/bin/sh\nexec sleep 30\n")
    monkeypatch.setattr(connection, "PULUMI_TIMEOUT_SECONDS", 0.05)
    with pytest.raises(StackNotFound, match=r"no answer within 0\.05 s"):
        connect("prod")


def test_a_stack_that_was_never_deployed_is_told_from_one_that_is_not_there(pulumi: Path) -> None:
    with pytest.raises(StackNotDeployed, match="pulumi up --stack prod"):
        connect("prod")


def test_outputs_that_are_missing_are_named(pulumi: Path) -> None:
    outputs = stack_outputs("prod")
    del outputs["eventSource"], outputs["stateMachineArn"]
    (pulumi / "out").write_text(json.dumps(outputs))
    with pytest.raises(StackNotDeployed, match="lacks the outputs stateMachineArn, eventSource"):
        connect("prod")


def test_a_deployed_stack_is_reached_in_its_own_region(
    pulumi: Path, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-southeast-2")
    (pulumi / "out").write_text(json.dumps(stack_outputs("prod")))
    assert connect("prod").clients.dynamodb.meta.region_name == REGION


def test_credentials_of_another_account_are_refused(rb: Runbook, monkeypatch: pytest.MonkeyPatch) -> None:
    with Stubber(rb.clients.sts) as sts:
        sts.add_response("get_caller_identity", {"Account": "999999999999"})
        with pytest.raises(CredentialsUnusable, match=f"account 999999999999, and the stack is in account {ACCOUNT}"):
            connection.check_access(rb)


def test_credentials_that_have_expired_are_refused(rb: Runbook) -> None:
    with Stubber(rb.clients.sts) as sts:
        sts.add_client_error("get_caller_identity", "ExpiredToken", "The security token is expired")
        with pytest.raises(CredentialsUnusable, match="is expired"):
            connection.check_access(rb)


def test_without_credentials_it_is_said_how_to_get_them(pulumi: Path, clients: Clients) -> None:
    (pulumi / "out").write_text(json.dumps(stack_outputs("prod")))
    nothing = {name: "" for name in CREDENTIALS if name.startswith("AWS_")}
    nowhere = {"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_EC2_METADATA_DISABLED": "true"}
    with (
        mock.patch.dict("os.environ", nothing | nowhere),
        pytest.raises(CredentialsUnusable, match="aws sso login"),
    ):
        connect("prod")


def test_a_profile_that_is_not_there_is_named(pulumi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pulumi / "out").write_text(json.dumps(stack_outputs("prod")))
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.setenv("AWS_CONFIG_FILE", "none")
    with pytest.raises(CredentialsUnusable, match="nobody"):
        connect("prod")


def test_the_endpoint_of_the_agent_is_what_its_log_group_s_name_ends_with(rb: Runbook) -> None:
    assert rb.outputs.agent_log_group_name.endswith(f"-{rb.outputs.agent_qualifier}")
