"""The queue for events that never became a run.

Owns the queue and who may send to it. An alarm reports messages; an operator removes them (docs/operations.md).
"""

from __future__ import annotations

from typing import TypedDict

import pulumi
import pulumi_aws as aws

from components.policies import Statement, document

# SQS's maximum, so that a long weekend loses nothing.
RETENTION_SECONDS = 14 * 24 * 3600


class DeadLetterQueueArgs(TypedDict):
    """Arguments of DeadLetterQueue; `kms_key_arn` None means SQS's own key."""

    rule_arn: pulumi.Output[str]
    require_tls: bool
    kms_key_arn: pulumi.Input[str] | None


class DeadLetterQueue:
    """A queue that one event rule may send to.

    :ivar policy: whatever sends must depend on it
    """

    def __init__(self, name: str, args: DeadLetterQueueArgs, parent: pulumi.Resource) -> None:
        child = pulumi.ResourceOptions(parent=parent)
        key = args["kms_key_arn"]
        queue = aws.sqs.Queue(
            f"{name}-dead-letters",
            message_retention_seconds=RETENTION_SECONDS,
            sqs_managed_sse_enabled=True if key is None else None,
            kms_master_key_id=key,
            opts=child,
        )
        self.name = queue.name
        self.arn = queue.arn
        self.url = queue.url
        statements = [_from_rule(queue.arn, args["rule_arn"])]
        if args["require_tls"]:
            statements.append(_tls_only(queue.arn))
        self.policy = aws.sqs.QueuePolicy(
            f"{name}-dead-letters-policy", queue_url=queue.url, policy=document(statements), opts=child
        )


def _from_rule(queue_arn: pulumi.Output[str], rule_arn: pulumi.Output[str]) -> Statement:
    # EventBridge sends dead letters as itself, on behalf of this one rule.
    # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
    return {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn}},
    }


def _tls_only(queue_arn: pulumi.Output[str]) -> Statement:
    # Every action of every principal: a narrower Deny lets something through.
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "sqs:*",
        "Resource": queue_arn,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
