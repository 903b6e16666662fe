"""What takes its time to go: an environment that has the session still, and a table that has gone for good."""

import os
import signal
from collections.abc import Iterator

import pytest

from local.agentcore.environments.environment import State
from local.agentcore.environments.settings import DataPlaneSettings
from runtime.journal.vocabulary import Status
from tests.support.paced_model import PacedModel
from tests.support.running_cloud import RunningCloud, running_cloud
from tests.support.waiting import wait_until

TEARDOWN_SECONDS = 5.0
STARTED = Status.AGENT_BACKGROUND_TASK_STARTED
QUICK = {"completion": "poll", "pollIntervalSeconds": 1, "leaseSeconds": 4, "maxRunSeconds": 60}


@pytest.fixture(scope="module")
def model() -> Iterator[PacedModel]:
    with PacedModel(0.1) as model:
        yield model


@pytest.fixture(scope="module")
def cloud(model: PacedModel) -> Iterator[RunningCloud]:
    """A cloud that takes its time. The last test leaves it without its table."""
    settings = DataPlaneSettings(stop_grace_seconds=1.0, stop_delay_seconds=0.4, teardown_seconds=TEARDOWN_SECONDS)
    with running_cloud(model_url=model.url, config=QUICK, data_plane=settings) as running:
        yield running


def test_a_run_goes_on_once_the_environment_that_had_its_session_has_gone(
    cloud: RunningCloud, model: PacedModel
) -> None:
    cloud.scale_waits(0.2)
    session_id = cloud.runbook.trigger("A frozen environment.")
    with model.held("A frozen environment.") as hold:
        hold.wait_for_call()
        os.kill(_process_of(cloud, session_id), signal.SIGSTOP)
        wait_until(lambda: "AGENT_BACKGROUND_TASK_LOST" in cloud.statuses(session_id), "it is found lost", 30)
    assert cloud.wait_for_end(session_id).status == Status.AGENT_BACKGROUND_TASK_COMPLETED
    events = cloud.runbook.events(session_id)
    failures = {event.error_type for event in events if event.status == Status.AGENT_INVOCATION_FAILED}
    assert failures == {"SessionInTransition"}
    assert [event.attempt for event in events if event.status == STARTED] == [1, 2]


def _process_of(cloud: RunningCloud, session_id: str) -> int:
    records = cloud.parts.data_plane.environments()
    [found] = [record for record in records if record.session_id == session_id and record.state is State.READY]
    assert found.pid
    return found.pid


def test_an_execution_whose_table_has_gone_ends_at_its_deadline_where_it_can_be_redriven(
    cloud: RunningCloud, model: PacedModel
) -> None:
    cloud.scale_waits(1)
    with cloud.function_variables(MAX_RUN_SECONDS="5"), model.held("A table that goes.") as hold:
        session_id = cloud.runbook.trigger("A table that goes.")
        hold.wait_for_call()
        arn = cloud.runbook.metadata(session_id).execution_arn
        cloud.client("dynamodb").delete_table(TableName=cloud.output("journalTableName"))
        cloud.scale_waits(0.05)
        wait_until(lambda: "CloseSession" in _states(cloud, arn), "the deadline is seen", 60, 0.2)
        # The close is tried for ten minutes.
        cloud.scale_waits(0.001)
        ended = cloud.ended_execution(arn)
    assert (ended["status"], ended["error"]) == ("FAILED", "DynamoDb.ResourceNotFoundException")
    assert _states(cloud, arn)[-1] == "CloseSession"


def _states(cloud: RunningCloud, arn: str) -> list[str]:
    pages = cloud.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=arn)
    entered = [event.get("stateEnteredEventDetails") for page in pages for event in page["events"]]
    return [details["name"] for details in entered if details]
