"""IAM roles with their inline policies."""

from __future__ import annotations

import json
from typing import Any

from local.deployment.resources.resource import Created, Resource, tag_list

AGENT_SERVICE = "bedrock-agentcore.amazonaws.com"
# AWS authorizes Converse as the action InvokeModel; the emulator names an action after each operation.
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
EMULATOR_ACTIONS = {
    "bedrock:InvokeModel": "bedrock:Converse",
    "bedrock:InvokeModelWithResponseStream": "bedrock:ConverseStream",
}


def role(new: Resource) -> Created:
    """A role; if AgentCore may assume it, so may the account's root."""
    name, inputs, iam = new.physical_name(), new.inputs, new.emulator.client("iam")
    inputs.ignore("forceDetachPolicies", reason="it only matters when the role is deleted")
    options = {
        "Path": inputs.take("path"),
        "Description": inputs.take("description"),
        "MaxSessionDuration": inputs.take("maxSessionDuration"),
        "PermissionsBoundary": inputs.take("permissionsBoundary"),
    }
    created = iam.create_role(
        RoleName=name,
        AssumeRolePolicyDocument=_allow_root(new, inputs.require("assumeRolePolicy")),
        Tags=tag_list(inputs.take("tags")),
        **{key: value for key, value in options.items() if value is not None},
    )["Role"]
    return Created(name, {"name": name, "arn": created["Arn"], "uniqueId": created["RoleId"]})


def role_policy(new: Resource) -> Created:
    """A policy inside a role."""
    name, role_name = new.physical_name(), new.inputs.require("role")
    new.emulator.client("iam").put_role_policy(
        RoleName=role_name, PolicyName=name, PolicyDocument=_add_emulator_actions(new.inputs.require("policy"))
    )
    return Created(f"{role_name}:{name}", {"name": name})


def _add_emulator_actions(policy: str) -> str:
    document: dict[str, Any] = json.loads(policy)
    for statement in document["Statement"]:
        action = statement.get("Action", [])
        actions = action if isinstance(action, list) else [action]
        if added := [EMULATOR_ACTIONS[action] for action in actions if action in EMULATOR_ACTIONS]:
            statement["Action"] = actions + added
    return json.dumps(document)


def _allow_root(new: Resource, trust_policy: str) -> str:
    """Allow root too: `local.agentcore.data_plane`, which plays AgentCore, can't be a service and acts as root."""
    if AGENT_SERVICE not in trust_policy:
        return trust_policy
    root = new.emulator.client("sts").get_caller_identity()["Arn"]
    document: dict[str, Any] = json.loads(trust_policy)
    document["Statement"].append({"Effect": "Allow", "Principal": {"AWS": root}, "Action": "sts:AssumeRole"})
    return json.dumps(document)
