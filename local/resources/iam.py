"""IAM roles with their inline policies."""

from __future__ import annotations

import json
from typing import Any

from local.resources.resource import Created, Resource, tag_list

AGENT_SERVICE = "bedrock-agentcore.amazonaws.com"
# AWS authorizes Converse under the action of InvokeModel; the emulator has an action of each operation's own name.
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
EMULATOR_ACTIONS = {
    "bedrock:InvokeModel": "bedrock:Converse",
    "bedrock:InvokeModelWithResponseStream": "bedrock:ConverseStream",
}


def role(new: Resource) -> Created:
    """A role; one that AgentCore may assume can be assumed by the account's root too."""
    name, inputs, iam = new.physical_name(), new.inputs, new.emulator.client("iam")
    inputs.ignore("forceDetachPolicies", reason="it matters when the role is deleted")
    options = {
        "Path": inputs.take("path"),
        "Description": inputs.take("description"),
        "MaxSessionDuration": inputs.take("maxSessionDuration"),
        "PermissionsBoundary": inputs.take("permissionsBoundary"),
    }
    trust: str = inputs.require("assumeRolePolicy")
    created = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=_trusting_root_like_agentcore(trust, root=_root_arn(new)),
        Tags=tag_list(inputs.take("tags")),  # type: ignore[arg-type]
        **{key: value for key, value in options.items() if value is not None},
    )["Role"]
    return Created(name, {"name": name, "arn": created["Arn"], "uniqueId": created["RoleId"]})


def role_policy(new: Resource) -> Created:
    """A policy inside a role."""
    name, role_name = new.physical_name(), new.inputs.require("role")
    new.emulator.client("iam").put_role_policy(
        RoleName=role_name, PolicyName=name, PolicyDocument=_in_the_emulators_words(new.inputs.require("policy"))
    )
    return Created(f"{role_name}:{name}", {"name": name})


def _in_the_emulators_words(policy: str) -> str:
    document: dict[str, Any] = json.loads(policy)
    for statement in document["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        statement["Action"] = [
            *actions,
            *(EMULATOR_ACTIONS[action] for action in actions if action in EMULATOR_ACTIONS),
        ]
    return json.dumps(document)


def _root_arn(new: Resource) -> str:
    return new.emulator.client("sts").get_caller_identity()["Arn"]


def _trusting_root_like_agentcore(trust_policy: str, root: str) -> str:
    """AgentCore's own part is played by `local.data_plane`, which can be no service principal, only root."""
    document: dict[str, Any] = json.loads(trust_policy)
    services = [statement.get("Principal", {}).get("Service") for statement in document["Statement"]]
    if any(AGENT_SERVICE in services_of_one for services_of_one in services if services_of_one):
        grant = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"}
        document["Statement"].append(grant)
    return json.dumps(document)
