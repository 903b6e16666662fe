"""No record is ever changed or deleted, and nothing that was written later hides the end of a run."""

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest

from runtime.journal.errors import RunClosed
from runtime.journal.records import from_item
from runtime.journal.vocabulary import Status
from runtime.journal.writer import JournalWriter, Standing
from tests.support.faulty_cloud import FaultyCloud
from tests.support.run_story import RunStory
from tests.support.scenarios import Stories, scenario
from tests.support.waiting import wait_until

CHANGES = (
    *("UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLUpdate", "PartiQLDelete", "PartiQLInsert"),
    *("UpdateTable", "DeleteTable", "UpdateTimeToLive", "RestoreTableFromBackup"),
)
MORE_THAN_A_POLL_READS = 25


@scenario
def told_more_than_a_poll_reads(faulty: FaultyCloud) -> RunStory:
    """Somebody adds events in the attempt's name, before the end and after it."""
    session_id = faulty.new_session_id()
    journal = JournalWriter(faulty.cloud.client("dynamodb"), faulty.cloud.output("journalTableName"), ttl_days=1)

    def heartbeat() -> None:
        event = journal.stamp(session_id, Status.AGENT_BACKGROUND_TASK_HEARTBEAT, attempt=1, lease_seconds=6)
        journal.append_as_attempt([event], Standing(1, 6))

    with faulty.model.held(session_id) as hold:
        faulty.start(session_id)
        hold.wait_for_call()
        for _ in range(MORE_THAN_A_POLL_READS):
            heartbeat()
        hold.release()
        faulty.wait_for(session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED)
        for _ in range(MORE_THAN_A_POLL_READS):
            with pytest.raises(RunClosed):
                heartbeat()
        return faulty.story(session_id)


@scenario
def read_while_it_grows(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.start()
    before: dict[str, Any] = {}

    def has_grown_to_its_end() -> bool:
        nonlocal before
        ended, now = faulty.reader.outcome(session_id), _records(faulty, session_id)
        assert before.items() <= now.items(), "a record was changed or is gone"
        before = now
        return ended is not None

    wait_until(has_grown_to_its_end, "an outcome", 60, 0.05)
    story = faulty.story(session_id)
    assert before.items() <= _records(faulty, session_id).items(), "a record was changed or is gone"
    assert len(before) > 5
    return story


@scenario
def retried_after_a_failure(faulty: FaultyCloud) -> RunStory:
    session_id = faulty.new_session_id()
    faulty.model.reply_with("", to=session_id)
    faulty.start(session_id)
    faulty.story(session_id)
    faulty.model.reply_with("Words.", to=session_id)
    return faulty.story(faulty.cloud.runbook.retry(session_id))


def test_the_end_of_a_run_is_seen_whatever_was_written_before_and_after_it(story_of: Stories) -> None:
    story = story_of(told_more_than_a_poll_reads).check_completed()
    assert len(story.events) > MORE_THAN_A_POLL_READS


def test_records_only_become_more(story_of: Stories) -> None:
    story_of(read_while_it_grows).check_completed()


def test_the_failure_of_one_run_does_not_end_its_retry(faulty: FaultyCloud, story_of: Stories) -> None:
    again = story_of(retried_after_a_failure).check_completed()
    source = faulty.cloud.runbook.metadata(again.session_id).request["retryOf"]
    failed = faulty.story(source).check()
    assert failed.ending.status == Status.AGENT_BACKGROUND_TASK_FAILED
    assert failed.ending.created_at < again.events[0].created_at


def test_no_deployed_role_may_change_or_delete_a_record(faulty: FaultyCloud) -> None:
    statements = list(_statements(faulty))
    assert any("dynamodb:PutItem" in statement["Action"] for _, statement in statements)
    for role, statement in statements:
        assert "NotAction" not in statement, role
        for change in CHANGES:
            granted = [action for action in statement["Action"] if fnmatchcase(f"dynamodb:{change}", action)]
            assert not granted, f"{role} may {change}: {granted}"


def _statements(faulty: FaultyCloud) -> list[tuple[str, dict[str, Any]]]:
    """What the roles of the deployed stack allow, by role."""
    iam = faulty.cloud.client("iam")
    found: list[tuple[str, dict[str, Any]]] = []
    for role in [role["RoleName"] for page in iam.get_paginator("list_roles").paginate() for role in page["Roles"]]:
        assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
        for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            for statement in document["Statement"]:
                actions = statement["Action"]
                found.append((role, statement | {"Action": [actions] if isinstance(actions, str) else actions}))
    return found


def _records(faulty: FaultyCloud, session_id: str) -> dict[str, str]:
    """A run's records as text, by sort key."""
    items = faulty.cloud.client("dynamodb").query(
        TableName=faulty.cloud.output("journalTableName"),
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": f"SESSION#{session_id}"}},
        ConsistentRead=True,
    )["Items"]
    return {item["SK"]["S"]: json.dumps(from_item(item), sort_keys=True) for item in items}
