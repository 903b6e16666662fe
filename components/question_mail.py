"""A mail for each run that begins to wait for a person, with the commands that show and answer its questions.

Owns the rule, the topic and who may publish to it. `workflow_waits` defines the event; whoever wants to be told in
another way makes a rule of their own on it (docs/events.md).
"""

from __future__ import annotations

import json
from typing import TypedDict

import pulumi
import pulumi_aws as aws

from components.policies import document
from components.settings import Settings
from components.trigger import EVENT_BUS
from components.workflow_waits import WAITING_DETAIL_TYPE

_SHOWN = ("sessionId", "workflow", "wait", "questions", "until")


class QuestionMailArgs(TypedDict):
    """Arguments of QuestionMail."""

    settings: Settings


class QuestionMail(pulumi.ComponentResource):
    """A topic that mails the first event of each wait to the address in the settings."""

    def __init__(self, name: str, args: QuestionMailArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fire-and-forget:index:QuestionMail", name, None, opts)
        settings, child = args["settings"], pulumi.ResourceOptions(parent=self)
        topic = aws.sns.Topic(f"{name}-topic", opts=child)
        # AWS asks the address to confirm; until then nothing is mailed.
        aws.sns.TopicSubscription(
            f"{name}-mail", topic=topic.arn, protocol="email", endpoint=settings.question_email, opts=child
        )
        rule = aws.cloudwatch.EventRule(
            f"{name}-rule",
            description=f"Mails each question that a run of {settings.event_source} asks",
            event_bus_name=EVENT_BUS,
            event_pattern=json.dumps(
                {
                    "source": [f"{settings.event_source}.runs"],
                    "detail-type": [WAITING_DETAIL_TYPE],
                    # The first event of a wait: the others say how long it has been waiting.
                    "detail": {"waitingSeconds": [{"numeric": ["=", 0]}]},
                }
            ),
            opts=child,
        )
        publish = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": topic.arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule.arn}},
        }
        policy = aws.sns.TopicPolicy(f"{name}-topic-policy", arn=topic.arn, policy=document([publish]), opts=child)
        aws.cloudwatch.EventTarget(
            f"{name}-target",
            rule=rule.name,
            event_bus_name=EVENT_BUS,
            arn=topic.arn,
            input_transformer={
                "input_paths": {field: f"$.detail.{field}" for field in _SHOWN},
                "input_template": json.dumps(_text(pulumi.get_stack())),
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.register_outputs({})


def _text(stack: str) -> str:
    return (
        "Run <sessionId> of workflow <workflow> waits for a person until <until>; open questions: <questions>. "
        f"To read them: runbook waiting --stack {stack}. "
        f"To answer: runbook answer <sessionId> --wait <wait> --stack {stack}."
    )
