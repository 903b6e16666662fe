"""One run through the whole embedded cloud: real rule, machine, zip, data plane, agent, permissions."""

import json
import re
from typing import Any
from unittest.mock import Mock

import pytest
from typer.testing import CliRunner

from runbook.cli.app import app
from runtime.journal.vocabulary import TERMINAL, Status
from tests.support.fake_model import FakeModel
from tests.support.running_cloud import RunningCloud
from tests.support.waiting import wait_until

PROMPT = 'Why is "checkout" slow?\nIt\'s about <b>latency</b> & {braces} ünïcode 🚀'
ASKED_BY = "the billing team's alarm"
ANALYSIS, REPORT = "The analysis.", "# The report"


def said(*arguments: str) -> str:
    """What a command of the runbook prints."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


@pytest.fixture(scope="module")
def session(cloud: RunningCloud, model: FakeModel) -> str:
    """A run that completed; the model's second answer takes a second."""
    model.queue_text(ANALYSIS)
    model.queue_text(REPORT, delay_seconds=1.0)
    return cloud.run(PROMPT)


def test_the_journal_tells_the_whole_story_in_order(cloud: RunningCloud, session: str) -> None:
    statuses = cloud.statuses(session)
    without_signs_of_life = [status for status in statuses if status != Status.AGENT_BACKGROUND_TASK_HEARTBEAT]
    assert without_signs_of_life[:2] == ["SESSION_INITIATED", "AGENT_INVOCATION_STARTED"]
    # The invoker and the agent go on at the same time: which of them writes first is no promise.
    assert set(without_signs_of_life[2:4]) <= {
        "AGENT_INVOCATION_SUCCEEDED",
        "AGENT_BACKGROUND_TASK_STARTED",
        "TASK_ANALYST_STARTED",
    }
    assert [status for status in without_signs_of_life if status != "AGENT_INVOCATION_SUCCEEDED"][2:] == [
        "AGENT_BACKGROUND_TASK_STARTED",
        "TASK_ANALYST_STARTED",
        "TASK_ANALYST_TURN",
        "TASK_ANALYST_COMPLETED",
        "TASK_REPORTER_STARTED",
        "TASK_REPORTER_TURN",
        "TASK_REPORTER_COMPLETED",
        "AGENT_BACKGROUND_TASK_COMPLETED",
    ]


def test_the_lambda_was_not_held_for_the_agents_work(cloud: RunningCloud, session: str) -> None:
    seconds = cloud.runbook.summary(session).as_json()["seconds"]
    assert seconds["task"] >= 1.0
    assert seconds["acknowledge"] < seconds["invoker"]
    # In order and not in seconds: those of a busy machine say nothing.
    statuses = cloud.statuses(session)
    assert statuses.index("AGENT_INVOCATION_SUCCEEDED") < statuses.index("TASK_ANALYST_COMPLETED")


def test_a_run_has_exactly_one_outcome(cloud: RunningCloud, session: str) -> None:
    terminal = [event for event in cloud.runbook.events(session) if event.status in TERMINAL]
    assert terminal == [cloud.runbook.outcome(session)]


def test_the_second_agent_works_on_what_the_first_wrote(model: FakeModel, session: str) -> None:
    # The latest two: the model has answered the other cloud as well.
    first, second = [talk for talk in model.conversations if PROMPT in talk.last_message][-2:]
    assert ANALYSIS not in first.last_message
    assert ANALYSIS in second.last_message
    assert first.system_prompt != second.system_prompt


def test_the_report_and_its_tokens_are_kept(cloud: RunningCloud, session: str) -> None:
    summary = cloud.runbook.summary(session).as_json()
    assert summary["report"] == REPORT
    assert summary["artifacts"] == [f"sessions/{session}/analyst.md", f"sessions/{session}/reporter.md"]
    outcome = cloud.runbook.outcome(session)
    assert outcome
    assert outcome.detail
    assert outcome.detail["reportKey"] == f"sessions/{session}/reporter.md"
    assert outcome.detail["tokens"]["inputTokens"] > 0


def test_the_session_has_a_log_stream_of_its_own_with_the_agents_lines(cloud: RunningCloud, session: str) -> None:
    (name,) = cloud.runbook.summary(session).as_json()["logStreams"]
    assert re.fullmatch(rf"\d{{4}}/\d\d/\d\d/\[runtime-logs-{session}\][0-9a-f-]{{36}}", name)
    text = "\n".join(line.message for line in cloud.runbook.log_events(session))
    assert f"Attempt 1 of run {session} began" in text


def test_the_environment_is_gone_after_the_end(cloud: RunningCloud, session: str) -> None:
    def is_gone() -> bool:
        return session not in {record.session_id for record in cloud.parts.data_plane.environments()}

    wait_until(is_gone, "the environment's end", seconds=2)


def test_the_end_is_announced_on_the_event_bus_with_who_asked(
    cloud: RunningCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("several_runs", "one_run"):
        monkeypatch.setattr(f"runbook.cli.{module}.connect", Mock(return_value=cloud.runbook))
    events, sqs = cloud.client("events"), cloud.client("sqs")
    queue_url = sqs.create_queue(QueueName="finished-runs")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    source = f"{cloud.output('eventSource')}.runs"
    events.put_rule(Name="finished-runs", EventPattern=json.dumps({"source": [source]}))
    events.put_targets(Rule="finished-runs", Targets=[{"Id": "queue", "Arn": queue_arn}])

    session = said("trigger", "What is slow?", "--requested-by", ASKED_BY)
    cloud.wait_for_end(session)

    received: list[dict[str, Any]] = []

    def arrived() -> bool:
        messages = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        received.extend(json.loads(message["Body"]) for message in messages.get("Messages", []))
        return bool(received)

    wait_until(arrived, "AgentRunFinished", seconds=5)
    (event,) = received
    assert event["detail-type"] == "AgentRunFinished"
    assert event["detail"] | {"seconds": 0, "tokens": {}} == {
        "sessionId": session,
        "outcome": "AGENT_BACKGROUND_TASK_COMPLETED",
        "attempts": 1,
        "seconds": 0,
        "tokens": {},
        "reportKey": f"sessions/{session}/reporter.md",
        "errorType": None,
        "requestedBy": ASKED_BY,
        "workflow": "default",
    }
    listed = json.loads(said("list", "--requested-by", ASKED_BY, "--json"))
    assert [listed[name] for name in ("sessionId", "requestedBy", "workflow")] == [session, ASKED_BY, "default"]
    assert ASKED_BY in said("show", session)


def test_two_executions_of_one_event_are_one_run_and_a_quiet_duplicate(cloud: RunningCloud) -> None:
    execution_input = json.dumps(
        {"session_id": "the-same-event-delivered-twice-000001", "request": {"prompt": "Once."}}
    )
    ended = [cloud.ended_execution(cloud.start_execution(execution_input)) for _ in range(2)]
    assert [execution["status"] for execution in ended] == ["SUCCEEDED", "SUCCEEDED"]
    statuses = cloud.statuses("the-same-event-delivered-twice-000001")
    assert statuses.count("SESSION_INITIATED") == 1
    assert statuses.count("AGENT_INVOCATION_STARTED") == 1
    assert len([status for status in statuses if status in TERMINAL]) == 1
