"""Building blocks of IAM policies: statements as data, trust in one service, a role for one actor.

Owns the document's form, not its content: the component that creates an actor says which actions it gets, and why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from components.location import Location

Statement = dict[str, Any]
SEND_TRACES = (
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
)
Conditions = Mapping[str, Mapping[str, pulumi.Input[str] | Sequence[str]]]


def allow(
    actions: Sequence[str],
    resources: Sequence[pulumi.Input[str]],
    conditions: Conditions | None = None,
) -> Statement:
    """A statement that allows actions on resources, optionally under conditions."""
    statement: Statement = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
    return statement | ({"Condition": conditions} if conditions else {})


def in_partitions(*prefixes: str) -> Conditions:
    """Conditions that keep actions on items of a table to some of its partitions.

    For actions that name a partition key: `ForAllValues` also holds where there is none, as for a scan. In a
    transaction each put and each check is authorised by itself.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition_examples-multi-valued-context-keys.html

    :param prefixes: what the partitions' keys begin with
    """
    return {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"{prefix}*" for prefix in prefixes]}}


def document(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """A policy document as JSON."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service: str, conditions: Conditions | None = None) -> pulumi.Output[str]:
    """A trust policy that lets one AWS service assume the role."""
    principal = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return document([principal | ({"Condition": conditions} if conditions else {})])


def on_behalf_of(location: Location, source_arn: pulumi.Input[str]) -> Conditions:
    """Conditions that keep a service from using the role for anyone else's resources.

    Rule: https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    return {
        "StringEquals": {"aws:SourceAccount": location.account_id},
        "ArnLike": {"aws:SourceArn": source_arn},
    }


@dataclass(frozen=True)
class ActorRole:
    """The role of one actor and the only policy it has.

    :ivar role: what the actor assumes
    :ivar policy: depend on it if the role is validated when it is used
    """

    role: aws.iam.Role
    policy: aws.iam.RolePolicy

    @property
    def arn(self) -> pulumi.Output[str]:
        """The role's ARN."""
        return self.role.arn


def actor_role(
    name: str, trust_policy: pulumi.Input[str], statements: Sequence[Statement], parent: pulumi.Resource
) -> ActorRole:
    """Create an actor's role and its inline policy, as children of a component."""
    child = pulumi.ResourceOptions(parent=parent)
    role = aws.iam.Role(f"{name}-role", assume_role_policy=trust_policy, opts=child)
    policy = aws.iam.RolePolicy(f"{name}-policy", role=role.name, policy=document(statements), opts=child)
    return ActorRole(role, policy)
