"""Lambda functions deployed from a program behave as on AWS where this system depends on it."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest

from local.emulator.process import Emulator
from tests.local.conftest import DeployProgram
from tests.support.waiting import wait_until

HANDLERS = """
    import json, logging, os
    import boto3

    class OutOfPatience(Exception):
        pass

    def handle(event, context):
        return globals()[event["do"]](event, context)

    def fail(event, context):
        raise OutOfPatience("three times is enough")

    def log(event, context):
        logging.getLogger("handlers").info("seen", extra={"color": "green"})

    def environment(event, context):
        return dict(os.environ)

    def ask(event, context):
        return boto3.client("sts").get_caller_identity()["Arn"]

    def write(event, context):
        boto3.client("dynamodb").put_item(TableName=event["table"], Item={"PK": {"S": "x"}})
"""
PROGRAM = """
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
    logs = aws.cloudwatch.LogGroup("handler-logs", name="/functions/handler")
    role = aws.iam.Role(
        "handler-role",
        name="handler-role",
        assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    function = aws.lambda_.Function(
        "handler",
        name="handler",
        role=role.arn,
        runtime="python3.13",
        handler="functions.handlers.handle",
        code=pulumi.AssetArchive({"functions/handlers.py": pulumi.StringAsset(SOURCE)}),
        timeout=20,
        logging_config={"log_format": "JSON", "log_group": logs.name, "application_log_level": "INFO"},
        tracing_config={"mode": "Active"},
        environment={"variables": {"JOURNAL_TABLE": "journal"}},
    )
    fails = {
        "QueryLanguage": "JSONata",
        "StartAt": "Fail",
        "States": {
            "Fail": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Arguments": {"FunctionName": "${arn}", "Payload": {"do": "fail"}},
                "Catch": [
                    {
                        "ErrorEquals": ["OutOfPatience"],
                        "Next": "Caught",
                        "Output": "{% $states.errorOutput %}"
                    }
                ],
                "Next": "NotCaught",
            },
            "Caught": {"Type": "Succeed"},
            "NotCaught": {"Type": "Fail"},
        },
    }
    machine = aws.sfn.StateMachine(
        "catching",
        name="catching",
        role_arn=role.arn,
        definition=function.arn.apply(lambda arn: json.dumps(fails).replace("${arn}", arn)),
    )
    pulumi.export("machineArn", machine.arn)
"""


@pytest.fixture(scope="module")
def machine_arn(deploy_program: DeployProgram) -> str:
    """The state machine that calls the function `handler`, deployed together with it."""
    arn: str = deploy_program(f"SOURCE = {dedent(HANDLERS)!r}\n{dedent(PROGRAM)}")["machineArn"]
    return arn


def call(emulator: Emulator, do: str, **event: str) -> Any:
    """What the function answers, or its error."""
    reply = emulator.client("lambda").invoke(FunctionName="handler", Payload=json.dumps({"do": do, **event}).encode())
    return json.load(reply["Payload"])


def test_an_error_has_its_class_name_and_message(emulator: Emulator, machine_arn: str) -> None:
    error = call(emulator, "fail")
    assert error["errorType"] == "OutOfPatience"
    assert error["errorMessage"] == "three times is enough"
    assert "functions/handlers.py" in "".join(error["stackTrace"])


def test_a_state_machine_catches_an_error_by_its_class_name(emulator: Emulator, machine_arn: str) -> None:
    machines = emulator.client("stepfunctions")
    execution = machines.start_execution(stateMachineArn=machine_arn)["executionArn"]
    wait_until(lambda: machines.describe_execution(executionArn=execution)["status"] != "RUNNING", "the execution ends")
    ended = machines.describe_execution(executionArn=execution)
    assert ended["status"] == "SUCCEEDED"
    assert json.loads(ended.get("output", "{}"))["Error"] == "OutOfPatience"


def test_an_error_is_a_log_line_with_its_class_name(emulator: Emulator, machine_arn: str) -> None:
    # Metric filters match on it.
    call(emulator, "fail")
    logs = emulator.client("logs")

    def classes() -> list[str]:
        events = logs.filter_log_events(logGroupName="/functions/handler")["events"]
        texts = [event.get("message", "") for event in events]
        return [json.loads(text).get("errorType") for text in texts if text.startswith("{")]

    wait_until(lambda: "OutOfPatience" in classes(), "the line arrives")


def test_log_lines_are_json_with_their_extra_fields(emulator: Emulator, machine_arn: str) -> None:
    call(emulator, "log")
    logs = emulator.client("logs")

    def lines() -> list[dict[str, Any]]:
        events = logs.filter_log_events(logGroupName="/functions/handler")["events"]
        texts = [event.get("message", "") for event in events]
        return [json.loads(text) for text in texts if text.startswith("{") and "green" in text]

    wait_until(lambda: bool(lines()), "the line arrives")
    [line] = lines()
    assert (line["level"], line["message"], line["color"]) == ("INFO", "seen", "green")


def test_a_function_sees_its_settings_and_none_of_this_machine(emulator: Emulator, machine_arn: str) -> None:
    environment = call(emulator, "environment")
    assert environment["JOURNAL_TABLE"] == "journal"
    assert environment["AWS_ENDPOINT_URL"] == emulator.url
    assert environment["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.13"
    assert environment["_X_AMZN_TRACE_ID"].startswith("Root=1-")
    assert "SECRET_OF_THIS_MACHINE" not in environment


def test_a_function_acts_as_its_role(emulator: Emulator, machine_arn: str) -> None:
    assert ":assumed-role/handler-role/" in call(emulator, "ask")


def test_a_function_may_do_only_what_its_role_allows(emulator: Emulator, machine_arn: str) -> None:
    error = call(emulator, "write", table="some-table")
    assert error["errorType"] == "ClientError"
    assert "AccessDenied" in error["errorMessage"]
    assert "dynamodb:PutItem" in error["errorMessage"]


def test_a_function_of_another_runtime_is_refused(deploy_program: DeployProgram) -> None:
    with pytest.raises(Exception, match=r"runtime nodejs22.x is not emulated, only Python runtimes are"):
        deploy_program(
            """
            aws.lambda_.Function(
                "other", role="arn:aws:iam::000000000000:role/handler-role", runtime="nodejs22.x", handler="a.b",
                code=pulumi.AssetArchive({"a.js": pulumi.StringAsset("")}),
            )
            """
        )
