"""SNS topics, for alarms."""

from __future__ import annotations

from local.deployment.resources.resource import Created, Resource, tag_list


def topic(new: Resource) -> Created:
    """A topic."""
    inputs = new.inputs
    given = {"DisplayName": inputs.take("displayName"), "KmsMasterKeyId": inputs.take("kmsMasterKeyId")}
    name = new.physical_name()
    arn = new.emulator.client("sns").create_topic(
        Name=name,
        Attributes={key: value for key, value in given.items() if value},
        Tags=tag_list(inputs.take("tags")),
    )["TopicArn"]
    return Created(arn, {"name": name, "arn": arn})


def topic_policy(new: Resource) -> Created:
    """Who may publish to a topic."""
    arn = new.inputs.require("arn")
    new.emulator.client("sns").set_topic_attributes(
        TopicArn=arn, AttributeName="Policy", AttributeValue=new.inputs.require("policy")
    )
    return Created(arn, {})


def topic_subscription(new: Resource) -> Created:
    """A subscriber of a topic; the emulator sends no e-mail."""
    inputs = new.inputs
    arn = new.emulator.client("sns").subscribe(
        TopicArn=inputs.require("topic"),
        Protocol=inputs.require("protocol"),
        Endpoint=inputs.require("endpoint"),
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    return Created(arn, {"arn": arn})
