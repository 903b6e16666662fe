"""Least privilege is enforced here as it would be in AWS: without any one action a run fails, and says which."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from runtime.journal.keys import METADATA, answer_key, record_key
from runtime.journal.vocabulary import Status
from tests.support.rights import action_name, without
from tests.support.running_cloud import RunningCloud

# Both ways of noticing an end have the same rights, but for the one to wake, which `test_verify.py` takes away.
pytestmark = pytest.mark.parametrize("cloud", ["poll"], indirect=True)
OUTCOME_NAMES_IT = [
    ("invoker", "dynamodb:PutItem"),
    ("invoker", "dynamodb:ConditionCheckItem"),
    ("invoker", "bedrock-agentcore:InvokeAgentRuntime"),
    ("agent", "bedrock:InvokeModelWithResponseStream"),
    ("agent", "s3:ListBucket"),
    ("agent", "s3:PutObject"),
]
# Without PutItem it is the same; each takes all attempts' leases.
LOG_NAMES_IT = [("agent", "dynamodb:ConditionCheckItem")]


@pytest.mark.parametrize(("actor", "action"), OUTCOME_NAMES_IT)
def test_a_run_without_a_permission_fails_and_its_outcome_names_it(
    cloud: RunningCloud, actor: str, action: str
) -> None:
    with without(cloud, actor, action):
        session = cloud.run()
    outcome = cloud.runbook.outcome(session)
    assert outcome
    assert outcome.status in (Status.SESSION_FAILED, Status.AGENT_BACKGROUND_TASK_FAILED)
    assert "AccessDenied" in str(outcome.error_message)
    assert action_name(action) in str(outcome.error_message)


@pytest.mark.parametrize(("actor", "action"), LOG_NAMES_IT)
def test_an_agent_that_may_not_write_the_journal_says_so_in_its_log(
    cloud: RunningCloud, actor: str, action: str
) -> None:
    with without(cloud, actor, action):
        session = cloud.run(seconds=90)
    outcome = cloud.runbook.outcome(session)
    assert outcome
    assert (outcome.status, outcome.error_type) == (Status.SESSION_FAILED, "AgentLost")
    errors = "\n".join(line.raw for line in cloud.runbook.log_events(session, level="ERROR"))
    assert "AccessDenied" in errors
    assert action in errors


def test_code_in_an_agent_can_write_into_its_run_but_never_an_answer(cloud: RunningCloud) -> None:
    # Each process has its role's credentials.
    (role,) = [role for role in cloud.client("iam").list_roles()["Roles"] if "agent-role" in role["RoleName"]]
    given = cloud.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="its-code")["Credentials"]
    table = cloud.output("journalTableName")
    client: Any = boto3.client(
        "dynamodb",
        cloud.stack.region,
        endpoint_url=cloud.stack.endpoint_url,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    own, answer = record_key("a-run", METADATA), answer_key("a-run", 1)
    put = {"Put": {"TableName": table, "Item": answer}}

    client.put_item(TableName=table, Item=own)
    client.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": own}}])
    for write in (
        lambda: client.put_item(TableName=table, Item=answer),
        lambda: client.transact_write_items(TransactItems=[put]),
        lambda: client.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": own}}, put]),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            write()
