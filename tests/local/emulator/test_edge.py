"""What the emulator does as AWS does, or as a laptop needs, because its edges are changed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.deployment.resources.assets import zip_bytes
from local.emulator import process as emulator_module
from local.emulator.edge.replacing import UnknownMinistack, replace
from local.emulator.process import Emulator
from local.loopback.ports import free_port
from tests.support.fake_model import FakeModel
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

SLEEP_SECONDS = 0.5
HANDLER = f"""
import time
def handle(event, context):
    time.sleep({SLEEP_SECONDS})
    return {{"at": time.time()}}
"""
ONE_TRY = Config(retries={"total_max_attempts": 1})


def deploy_sleeper(emulator: Emulator) -> str:
    """A function that takes half a second; gives its role."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = emulator.client("iam").create_role(
        RoleName="sleeper", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    emulator.client("lambda").create_function(
        FunctionName="sleeper",
        Runtime="python3.13",
        Handler="handler.handle",
        Role=role,
        Code={"ZipFile": zip_bytes({"handler.py": HANDLER.encode()})},
    )
    return role


@pytest.fixture(scope="module")
def narrow() -> Iterator[Emulator]:
    """An emulator with a single place for functions, which nobody waits for."""
    with Emulator(lambda_concurrency=1, lambda_queue_seconds=0) as emulator:
        deploy_sleeper(emulator)
        yield emulator


def started(emulator: Emulator, states: dict[str, Any], name: str, times: int = 1) -> list[str]:
    """Run a state machine, once or several times; gives the executions' ARNs."""
    machines = emulator.client("stepfunctions")
    role = emulator.client("iam").get_role(RoleName="sleeper")["Role"]["Arn"]
    definition = {"QueryLanguage": "JSONata", "StartAt": "Call", "States": states}
    arn = machines.create_state_machine(name=name, roleArn=role, definition=json.dumps(definition))["stateMachineArn"]
    return [str(machines.start_execution(stateMachineArn=arn)["executionArn"]) for _ in range(times)]


def ended(emulator: Emulator, states: dict[str, Any], name: str) -> dict[str, Any]:
    """Run a state machine once; gives what became of it."""
    machines, [arn] = emulator.client("stepfunctions"), started(emulator, states, name)
    wait_until(lambda: machines.describe_execution(executionArn=arn)["status"] != "RUNNING", "the execution ends", 30)
    return dict(machines.describe_execution(executionArn=arn))


def call(**fields: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": "sleeper", "Payload": {}},
        **fields,
    }


def test_a_throttled_function_has_the_name_that_aws_gives_it(narrow: Emulator) -> None:
    with ThreadPoolExecutor(1) as others:
        busy = others.submit(keep_busy, narrow, 6)
        execution = ended(narrow, {"Call": call(End=True)}, "throttled")
        busy.result()
    assert execution["error"] == "Lambda.TooManyRequestsException"
    assert execution["cause"].startswith("Rate Exceeded")


def keep_busy(emulator: Emulator, times: int) -> None:
    """Hold the one place nearly all of the time."""
    functions = emulator.client("lambda", config=ONE_TRY)
    for _ in range(times):
        try:
            functions.invoke(FunctionName="sleeper")
        except functions.exceptions.TooManyRequestsException:
            continue


def test_lambda_unknown_is_left_to_what_has_no_name(narrow: Emulator) -> None:
    execution = ended(narrow, {"Call": call(Arguments={"FunctionName": "missing", "Payload": {}}, End=True)}, "missing")
    assert execution["error"] == "Lambda.ResourceNotFoundException"


def test_a_caught_time_out_has_an_empty_cause(narrow: Emulator) -> None:
    caught = {"ErrorEquals": ["States.Timeout"], "Next": "Caught", "Output": "{% $states.errorOutput %}"}
    states = {"Call": call(TimeoutSeconds=0.1, Catch=[caught], End=True), "Caught": {"Type": "Succeed"}}
    execution = ended(narrow, states, "timing-out")
    assert json.loads(execution["output"]) == {"Error": "States.Timeout", "Cause": ""}


def test_invocations_queue_for_a_place_first_come_first_served() -> None:
    with Emulator(lambda_concurrency=2) as emulator, ThreadPoolExecutor(8) as callers:
        deploy_sleeper(emulator)
        functions = emulator.client("lambda", config=Config(retries={"total_max_attempts": 1}, max_pool_connections=8))

        def invoke(_: int) -> float:
            return float(json.load(functions.invoke(FunctionName="sleeper")["Payload"])["at"])

        ends = sorted(callers.map(invoke, range(8)))
    assert ends[-1] - ends[0] > 2 * SLEEP_SECONDS


def test_what_has_begun_goes_before_what_is_new() -> None:
    program = """
import threading
import time
from local.emulator.edge import functions
queue = functions.Queue(4, 0)
new, begun = queue._new, queue._begun
assert [queue._enter(new) for _ in range(4)] == [True, True, True, False]
assert queue._enter(begun)
assert not queue._enter(begun)
patient = functions.Queue(1, 30)
assert patient._enter(patient._begun)
order = []
def wait(line, name):
    assert patient._enter(line)
    order.append(name)
    patient._leave()
threads = []
for line, name in ((patient._new, "new"), (patient._begun, "begun"), (patient._begun, "begun too")):
    threads.append(threading.Thread(target=wait, args=(line, name)))
    threads[-1].start()
    while not line or len(patient._new) + len(patient._begun) < len(threads): pass
patient._leave()
[thread.join(10) for thread in threads]
assert order == ["begun", "begun too", "new"], order
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_an_execution_that_has_begun_is_not_held_up_by_a_crowd_of_new_ones() -> None:
    later = {"Wait": {"Type": "Wait", "Seconds": 1, "Next": "Again"}, "Again": call(End=True)}
    with Emulator(lambda_concurrency=4) as emulator:
        deploy_sleeper(emulator)
        machines = emulator.client("stepfunctions")
        [begun] = started(emulator, {"Call": call(Next="Wait"), **later}, "twice")

        def history() -> str:
            return json.dumps(machines.get_execution_history(executionArn=begun), default=str)

        wait_until(lambda: "WaitStateEntered" in history(), "its first call has succeeded", 30)
        crowd = started(emulator, {"Call": call(End=True)}, "crowd", times=30)
        wait_until(lambda: machines.describe_execution(executionArn=begun)["status"] == "SUCCEEDED", "it ends", 60)
        waiting = [arn for arn in crowd if machines.describe_execution(executionArn=arn)["status"] == "RUNNING"]
    assert len(waiting) >= len(crowd) / 3


# Models


def converse(emulator: Emulator) -> Any:
    messages = [{"role": "user", "content": [{"text": "Well?"}]}]
    return emulator.client("bedrock-runtime", config=ONE_TRY).converse(modelId="some-model", messages=messages)


def failure(emulator: Emulator) -> tuple[str, str]:
    with pytest.raises(ClientError) as failed:
        converse(emulator)
    response: Any = failed.value.response
    return response["Error"]["Code"], response["Error"]["Message"]


def test_a_canned_reply_says_that_it_is_one(emulator: Emulator) -> None:
    [content] = converse(emulator)["output"]["message"]["content"]
    assert content["text"].startswith("A canned reply, not a model's")


SCHEMA = {"type": "object", "properties": {"why": {"type": "string"}}, "required": ["why"]}


def plan(emulator: Emulator, choice: Any) -> Any:
    offered: Any = [{"toolSpec": {"name": "plan", "inputSchema": {"json": SCHEMA}}}]
    return emulator.client("bedrock-runtime").converse(
        modelId="some-model",
        messages=[{"role": "user", "content": [{"text": "Well?"}]}],
        toolConfig={"tools": offered, "toolChoice": choice},
    )


@pytest.mark.parametrize("choice", [{"any": {}}, {"tool": {"name": "plan"}}])
def test_a_canned_reply_calls_the_tool_that_must_be_called(emulator: Emulator, choice: Any) -> None:
    answer = plan(emulator, choice)
    assert answer["stopReason"] == "tool_use"
    [content] = answer["output"]["message"]["content"]
    assert (content["toolUse"]["name"], content["toolUse"]["input"]) == ("plan", {"why": "canned why"})


def test_a_canned_reply_takes_its_time_or_fails_where_the_prompt_says_so_of_its_step(emulator: Emulator) -> None:
    def ask(step: str) -> Any:
        client = emulator.client("bedrock-runtime", config=ONE_TRY)
        messages = [{"role": "user", "content": [{"text": "Well? [analyst takes 0.4 s] [reporter fails]"}]}]
        return client.converse(modelId="some-model", messages=messages, system=[{"text": f"You are the {step} here."}])

    began = time.monotonic()
    assert ask("analyst")
    assert time.monotonic() - began >= 0.4
    with pytest.raises(ClientError, match=r"the prompt says \[reporter fails\]"):
        ask("reporter")
    assert ask("librarian")


def test_a_canned_reply_calls_a_tool_once_where_the_prompt_says_so(emulator: Emulator) -> None:
    client = emulator.client("bedrock-runtime", config=ONE_TRY)
    tools = {"tools": [{"toolSpec": {"name": name, "inputSchema": {"json": SCHEMA}}} for name in ("look", "plan")]}

    def ask(*messages: Any) -> Any:
        system = [{"text": "You are the analyst here."}]
        return client.converse(modelId="some-model", messages=messages, system=system, toolConfig=tools)["output"]

    asked = {"role": "user", "content": [{"text": "Well? [analyst calls plan] [reporter calls look]"}]}
    called = ask(asked)["message"]
    use = called["content"][0]["toolUse"]
    result = {"toolUseId": use["toolUseId"], "content": [{"text": "done"}]}
    assert use["name"] == "plan"
    assert "text" in ask(asked, called, {"role": "user", "content": [{"toolResult": result}]})["message"]["content"][0]


def test_a_model_server_that_fails_is_an_error_and_not_a_canned_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(emulator_module._FIXED_SETTINGS, "MINISTACK_BEDROCK_PROXY_TIMEOUT_SECONDS", "1")
    with FakeModel() as model, Emulator(model_url=model.url) as emulator:
        model.queue_error(401, "no key was given")
        code, message = failure(emulator)
        answered = f"{model.url}/v1/chat/completions answered 401 Unauthorized: "
        assert code == "ModelErrorException"
        assert message.startswith(f"The model server {model.url} failed: {answered}")
        assert "no key was given" in message
        model.queue_hang()
        assert failure(emulator)[1].endswith("failed: no answer within 1 s.")
        model.queue_text("At last.")
        assert converse(emulator)["output"]["message"]["content"] == [{"text": "At last."}]
        messages = [{"role": "user", "content": [{"text": "Well?"}]}]
        with pytest.raises(ClientError, match="ModelErrorException"):
            emulator.client("bedrock-runtime", config=ONE_TRY).converse_stream(modelId="some-model", messages=messages)


def test_a_model_server_is_told_which_tool_must_be_called_and_its_call_is_the_answer() -> None:
    with FakeModel() as model, Emulator(model_url=model.url) as emulator:
        model.queue_tool_call("plan", {"why": "because"})
        answer = plan(emulator, {"tool": {"name": "plan"}})
        [request] = model.requests
    asked = json.loads(request.body)
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "plan"}}
    assert asked["tools"] == [{"type": "function", "function": {"name": "plan", "parameters": SCHEMA}}]
    assert answer["stopReason"] == "tool_use"
    assert answer["output"]["message"]["content"][0]["toolUse"]["input"] == {"why": "because"}


def test_no_model_server_at_all_is_an_error_too() -> None:
    with Emulator(model_url=f"http://127.0.0.1:{free_port()}") as emulator:
        code, message = failure(emulator)
    assert code == "ModelErrorException"
    assert "Connection refused" in message


def test_a_model_has_minutes_to_answer() -> None:
    assert float(emulator_module._FIXED_SETTINGS["MINISTACK_BEDROCK_PROXY_TIMEOUT_SECONDS"]) >= 600


# Versions


def test_another_ministack_is_not_changed_blindly(monkeypatch: pytest.MonkeyPatch) -> None:
    def same(found: Any) -> Any:
        return found

    with pytest.raises(UnknownMinistack, match="no longer has 'def gone"):
        replace(threading, "gone", same)
    with pytest.raises(UnknownMinistack, match="no longer has 'what was relied on'"):
        replace(threading, "settrace", same, "what was relied on")
    monkeypatch.setattr("local.emulator.edge.replacing.VERSION", "1.5.32")
    with pytest.raises(
        UnknownMinistack, match=r"ministack is 1\.5\.33; local/emulator/edge was written against 1\.5\.32"
    ):
        replace(threading, "settrace", same)
