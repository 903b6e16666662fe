"""SQS queues and their policies."""

from __future__ import annotations

from typing import Any

from local.deployment.resources.resource import Created, Resource

# Pulumi's name of an attribute → SQS's.
_ATTRIBUTES = {
    "delaySeconds": "DelaySeconds",
    "fifoQueue": "FifoQueue",
    "contentBasedDeduplication": "ContentBasedDeduplication",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "maxMessageSize": "MaximumMessageSize",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "policy": "Policy",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "redrivePolicy": "RedrivePolicy",
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
}


def queue(new: Resource) -> Created:
    """A queue."""
    name, sqs = new.physical_name(), new.emulator.client("sqs")
    given = new.inputs.some(*_ATTRIBUTES)
    attributes: Any = {_ATTRIBUTES[key]: _text(value) for key, value in given.items()}
    url = sqs.create_queue(QueueName=name, Attributes=attributes, tags=new.inputs.take("tags", {}))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return Created(url, {"name": name, "url": url, "arn": arn})


def queue_policy(new: Resource) -> Created:
    """Who may send to a queue."""
    url = new.inputs.require("queueUrl")
    attributes = {"Policy": new.inputs.require("policy")}
    new.emulator.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=attributes)
    return Created(url, {})


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
