"""`runbook verify` when something is broken: one thing at a time, and the right row says so.

That it passes where nothing is, `tests/end_to_end/test_verify.py` shows.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from runbook.labels import OPEN
from runbook.verify import Row, Verdict, alarms, leftovers, rights, scenarios, verify
from runbook.verify.findings import Look
from runbook.verify.scenarios import Tried
from runbook.verify.trials import Trials
from runtime.journal.records import Event
from runtime.journal.timestamps import utc_now
from tests.runbook.conftest import COMMAND_SECONDS, run_command, start_command
from tests.support.rights import without
from tests.support.running_cloud import RunningCloud
from tests.support.waiting import wait_until

LOOK_SECONDS = 0.1


class Hurried(Trials):
    """Doesn't wait long for an outcome that won't come."""

    def wait_for_end(self, session_id: str, *, seconds: float = 3) -> Event:
        """Return a run's outcome, or fail after three seconds."""
        return super().wait_for_end(session_id, seconds=seconds)


@pytest.fixture
def trials(cloud: RunningCloud) -> Generator[Trials]:
    """Runs of a test's own, which are over when it is."""
    made = Trials(cloud.runbook, 30, look_seconds=LOOK_SECONDS)
    yield made
    made.clean_up()


def rows_of(looks: Iterable[Look]) -> list[Row]:
    return [look.row() for look in looks]


def failed(rows: Sequence[Row]) -> dict[str, str]:
    return {row.what: row.seen for row in rows if row.verdict == Verdict.FAILED}


def test_the_command_speaks_json_and_ends_with_0(command: dict[str, str]) -> None:
    done = run_command(command, "verify", "--quick", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["passed"] is True
    assert {"a run", "two steps at once", "function held", "cold start", "end noticed"} <= {
        row["what"] for row in said["rows"]
    }
    assert {row["verdict"] for row in said["rows"]} <= {"ok", "skipped"}


# It fails with the right row


@pytest.mark.parametrize(
    ("actor", "action", "row"),
    [
        ("agent", "s3:PutObject", "rights: agent"),
        ("invoker", "bedrock-agentcore:StopRuntimeSession", "rights: function"),
        ("workflow", "dynamodb:Query", "rights: state machine"),
        ("trigger", "states:StartExecution", "rights: rule"),
    ],
)
def test_a_role_that_lacks_a_right(cloud: RunningCloud, actor: str, action: str, row: str) -> None:
    with without(cloud, actor, action):
        found = failed(rows_of(rights.looks(cloud.runbook)))
    assert set(found) == {row}
    assert action in found[row]
    rows = rows_of(rights.looks(cloud.runbook))
    assert failed(rows) == {}
    # The emulator's simulator ignores partitions.
    assert {row.what for row in rows if row.verdict == Verdict.SKIPPED} == {"rights: answers"}


def test_a_run_that_is_refused_a_right_and_the_command_ends_with_1(
    cloud: RunningCloud, command: dict[str, str]
) -> None:
    with without(cloud, "invoker", "bedrock-agentcore:InvokeAgentRuntime"):
        done = run_command(command, "verify", "--quick")
    assert done.returncode == 1
    shown = " ".join(done.stdout.split())
    assert "failed a run: SESSION_FAILED instead of AGENT_BACKGROUND_TASK_COMPLETED" in shown
    assert "AgentCallDenied" in shown
    assert "do: `runbook show " in shown


def test_a_log_group_that_is_gone(cloud: RunningCloud, trials: Trials) -> None:
    group, logs = cloud.output("agentLogGroupName"), cloud.client("logs")
    [described] = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    logs.delete_log_group(logGroupName=group)
    try:
        gone = failed(rows_of(leftovers.looks(trials, Tried())))
        # As the service makes one that is written to.
        logs.create_log_group(logGroupName=group)
        came_back = failed(rows_of(leftovers.looks(trials, Tried())))
    finally:
        logs.put_retention_policy(logGroupName=group, retentionInDays=described["retentionInDays"])
    assert set(gone) == set(came_back) == {"log streams"}
    assert f"log group {group} is gone" in gone["log streams"]
    assert f"log group {group} keeps its lines for ever" in came_back["log streams"]


def test_an_account_s_spans_without_the_agent_s(cloud: RunningCloud) -> None:
    logs, session_id = cloud.client("logs"), cloud.run()
    logs.create_log_group(logGroupName=leftovers.SPANS_GROUP)
    try:
        logs.create_log_stream(logGroupName=leftovers.SPANS_GROUP, logStreamName="default")
        without_them = spans_of(cloud, session_id)
        span = {
            "timestamp": int(utc_now().timestamp() * 1000),
            "message": json.dumps({"attributes": {"session.id": session_id}}),
        }
        logs.put_log_events(logGroupName=leftovers.SPANS_GROUP, logStreamName="default", logEvents=[span])
        with_them = spans_of(cloud, session_id)
    finally:
        logs.delete_log_group(logGroupName=leftovers.SPANS_GROUP)
    assert (without_them.verdict, with_them.verdict) == (Verdict.FAILED, Verdict.OK)
    assert f"no line of {session_id} in aws/spans" in without_them.seen


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"MetricName": "Errorz"}, "invoker-errors watches AWS/Lambda Errorz(FunctionName), and there is "),
        (
            {"Dimensions": [{"Name": "FunctionName", "Value": "FUNCTION"}, {"Name": "Resource", "Value": "FUNCTION"}]},
            "invoker-errors watches AWS/Lambda Errors(FunctionName, Resource), and there is",
        ),
    ],
)
def test_an_alarm_whose_metric_is_missing(cloud: RunningCloud, change: dict[str, Any], sentence: str) -> None:
    function = cloud.output("invokerFunctionName")
    change = json.loads(json.dumps(change).replace("FUNCTION", function))
    dimensions = [{"Name": "FunctionName", "Value": function}]
    if "Dimensions" in change:
        dimensions += change["Dimensions"][1:]
    measured = [
        {"MetricName": name, "Value": 0.0, "Dimensions": [{"Name": "FunctionName", "Value": function}]}
        for name in ("Errors", "Invocations")
    ]
    if "Dimensions" in change:
        # What AWS would publish if it had another dimension than the alarm.
        measured.append({"MetricName": "Duration", "Value": 0.0, "Dimensions": dimensions})
    cloud.client("cloudwatch").put_metric_data(Namespace="AWS/Lambda", MetricData=measured)
    assert failed([alarms.look(cloud.runbook).row()]) == {}
    with changed_alarm(cloud, "invoker-errors", change):
        found = failed([alarms.look(cloud.runbook).row()])
    assert sentence in found["alarms"]


def test_a_rule_that_does_not_close_abandoned_runs(cloud: RunningCloud) -> None:
    events = cloud.client("events")
    (rule,) = [rule["Name"] for rule in events.list_rules()["Rules"] if "abandoned-runs" in rule["Name"]]
    events.disable_rule(Name=rule)
    try:
        hurried = Hurried(cloud.runbook, 30, look_seconds=LOOK_SECONDS)
        rows = scenarios.abandoned(hurried, Tried())
        hurried.clean_up()
    finally:
        events.enable_rule(Name=rule)
    assert "no outcome: run" in failed(rows)["a stopped execution"]
    assert cloud.runbook.outcome(hurried.started[0])


def test_an_event_that_starts_nothing(cloud: RunningCloud) -> None:
    events = cloud.client("events")
    (rule,) = [rule["Name"] for rule in events.list_rules()["Rules"] if "trigger" in rule["Name"]]
    events.disable_rule(Name=rule)
    try:
        rows = scenarios.completes(Trials(cloud.runbook, 2, look_seconds=LOOK_SECONDS), Tried())
    finally:
        events.enable_rule(Name=rule)
    assert "started nothing" in failed(rows)["a run"]
    assert {row.verdict for row in rows[1:]} == {Verdict.SKIPPED}


def test_a_template_that_breaks_quotes(cloud: RunningCloud) -> None:
    with changed_template(cloud, lambda template: template.replace("<detail>", '{"prompt": "<prompt>"}')):
        rows = scenarios.awkward(Trials(cloud.runbook, 2, look_seconds=LOOK_SECONDS), Tried())
    assert set(failed(rows)) == {"quotes, backslashes"}


def test_an_event_in_the_dead_letter_queue(cloud: RunningCloud, trials: Trials) -> None:
    sqs, url = cloud.client("sqs"), cloud.output("deadLetterQueueUrl")
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"id": "1" * 36, "detail": {"prompt": "Why?"}}))
    try:
        found = failed(rows_of(leftovers.looks(trials, Tried())))
    finally:
        sqs.purge_queue(QueueUrl=url)
    assert set(found) == {"dead letters"}


def test_an_environment_that_is_still_alive(trials: Trials) -> None:
    session_id = trials.start("hold 30")
    trials.wait_for(session_id, scenarios.WORKING)
    assert session_id in failed([leftovers.nobody_left(trials).row()])["environments"]


def test_what_takes_too_long_fails_in_time(cloud: RunningCloud) -> None:
    report = verify(cloud.runbook, quick=True, limit_seconds=0, look_seconds=LOOK_SECONDS)
    assert "a run" in failed(report.rows)
    assert report.seconds < COMMAND_SECONDS / 4


def test_ctrl_c_leaves_no_run_behind(cloud: RunningCloud, command: dict[str, str]) -> None:
    before = utc_now()
    verifying = start_command(command, "verify")
    try:
        wait_until(lambda: cloud.runbook.runs(before, OPEN), "a run is open", 30, LOOK_SECONDS)
        verifying.send_signal(signal.SIGINT)
        # Well before the runs end by themselves.
        _, errors = verifying.communicate(timeout=scenarios.HOLD_SECONDS * 2 / 3)
    finally:
        verifying.kill()
    assert verifying.returncode == 130
    assert errors.startswith("error: interrupted before everything was tried")
    assert len(errors.splitlines()) == 1
    assert not cloud.runbook.runs(before, OPEN)


def spans_of(cloud: RunningCloud, session_id: str) -> Row:
    """The row about a run's spans, by somebody who doesn't wait for them."""
    looks = leftovers.looks(Trials(cloud.runbook, 1, look_seconds=LOOK_SECONDS), Tried(completed=session_id))
    return next(look.row() for look in looks if look.what == "spans")


@contextmanager
def changed_alarm(cloud: RunningCloud, name: str, change: dict[str, Any]) -> Generator[None]:
    """Have an alarm watch something else for a while."""
    cloudwatch = cloud.client("cloudwatch")
    (alarm,) = [each for each in cloudwatch.describe_alarms()["MetricAlarms"] if f"-{name}-" in each["AlarmName"]]
    accepted = cloudwatch.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
    as_it_was = {key: value for key, value in alarm.items() if key in accepted}
    cloudwatch.put_metric_alarm(**as_it_was | change)
    try:
        yield
    finally:
        cloudwatch.put_metric_alarm(**as_it_was)


@contextmanager
def changed_template(cloud: RunningCloud, change: Callable[[str], str]) -> Generator[None]:
    """Have the rule that starts runs make something else of events for a while."""
    events = cloud.client("events")
    (rule,) = [rule["Name"] for rule in events.list_rules()["Rules"] if "trigger" in rule["Name"]]
    (target,) = events.list_targets_by_rule(Rule=rule)["Targets"]
    transformer = target["InputTransformer"]
    changed = {
        "InputPathsMap": transformer["InputPathsMap"] | {"prompt": "$.detail.prompt"},
        "InputTemplate": change(transformer["InputTemplate"]),
    }
    events.put_targets(Rule=rule, Targets=[target | {"InputTransformer": changed}])
    try:
        yield
    finally:
        events.put_targets(Rule=rule, Targets=[target])
