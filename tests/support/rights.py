"""Taking a right away from one of the embedded cloud's roles, for a while."""

import json
from collections.abc import Generator
from contextlib import contextmanager

from tests.support.running_cloud import RunningCloud


def action_name(action: str) -> str:
    """The emulator authorizes Converse under the operation's own name."""
    return "bedrock:ConverseStream" if action == "bedrock:InvokeModelWithResponseStream" else action


@contextmanager
def without(cloud: RunningCloud, actor: str, action: str) -> Generator[None]:
    """Take one action out of an actor's role for a while."""
    iam = cloud.client("iam")
    (role,) = [role["RoleName"] for role in iam.list_roles()["Roles"] if f"{actor}-role" in role["RoleName"]]
    (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
    less = json.loads(json.dumps(document))
    removed = {action, action_name(action)}
    for statement in less["Statement"]:
        statement["Action"] = [kept for kept in statement["Action"] if kept not in removed]
    less["Statement"] = [statement for statement in less["Statement"] if statement["Action"]]
    assert less != document, f"{action} is not in the role of the {actor}"
    if less["Statement"]:
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(less))
    else:
        iam.delete_role_policy(RoleName=role, PolicyName=policy)
    try:
        yield
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(document))
