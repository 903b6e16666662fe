"""What starts a run: the rule on this stack's events, an optional schedule, and the queue for what failed to start.

Owns the path from an event to an execution. The event's id becomes the session id, so that an event delivered twice is
one run; the state machine claims it.
"""

from __future__ import annotations

import json
from typing import TypedDict

import pulumi
import pulumi_aws as aws

from components.dead_letters import DeadLetterQueue
from components.location import Location
from components.policies import actor_role, allow, on_behalf_of, trust
from components.settings import Settings

DETAIL_TYPE = "AgentRunRequested"
EVENT_BUS = "default"
# Unquoted: EventBridge substitutes JSON, and escapes it.
INPUT_PATHS = {"id": "$.id", "detail": "$.detail"}
INPUT_TEMPLATE = '{"session_id": <id>, "request": <detail>}'
# How long EventBridge tries to start an execution before the event goes to the queue.
MAX_EVENT_AGE_SECONDS = 3600
MAX_RETRIES = 60


class RunTriggerArgs(TypedDict):
    """Arguments of RunTrigger; `kms_key_arn` None leaves the queue to SQS's own key."""

    settings: Settings
    location: Location
    state_machine_arn: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str] | None


class RunTrigger(pulumi.ComponentResource):
    """An event rule on the stack's own source, with retries, a dead-letter queue and an optional schedule."""

    dead_letter_queue_url: pulumi.Output[str]
    dead_letter_queue_name: pulumi.Output[str]

    def __init__(self, name: str, args: RunTriggerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fire-and-forget:index:RunTrigger", name, None, opts)
        settings, location = args["settings"], args["location"]
        rule = aws.cloudwatch.EventRule(
            f"{name}-rule",
            description=f"Starts an agent run for each {DETAIL_TYPE} of {settings.event_source}",
            event_bus_name=EVENT_BUS,
            event_pattern=json.dumps({"source": [settings.event_source], "detail-type": [DETAIL_TYPE]}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        role = actor_role(
            name,
            trust("events.amazonaws.com", on_behalf_of(location, rule.arn)),
            # Start the one machine.
            [allow(["states:StartExecution"], [args["state_machine_arn"]])],
            self,
        )
        dead_letters = DeadLetterQueue(
            name,
            {
                "rule_arn": rule.arn,
                "require_tls": settings.require_tls,
                "kms_key_arn": args["kms_key_arn"],
            },
            self,
        )
        aws.cloudwatch.EventTarget(
            f"{name}-target",
            rule=rule.name,
            event_bus_name=EVENT_BUS,
            arn=args["state_machine_arn"],
            role_arn=role.arn,
            input_transformer={"input_paths": INPUT_PATHS, "input_template": INPUT_TEMPLATE},
            retry_policy={
                "maximum_event_age_in_seconds": MAX_EVENT_AGE_SECONDS,
                "maximum_retry_attempts": MAX_RETRIES,
            },
            dead_letter_config={"arn": dead_letters.arn},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role.policy, dead_letters.policy]),
        )
        if settings.schedule:
            self._schedule(name, args, dead_letters)
        self.dead_letter_queue_url = dead_letters.url
        self.dead_letter_queue_name = dead_letters.name
        self.register_outputs({"deadLetterQueueUrl": self.dead_letter_queue_url})

    def _schedule(self, name: str, args: RunTriggerArgs, dead_letters: DeadLetterQueue) -> None:
        """Put one of this stack's events on a schedule: a scheduled run starts like any other."""
        settings, location = args["settings"], args["location"]
        bus_arn = location.arn("events", f"event-bus/{EVENT_BUS}")
        group = location.arn("scheduler", "schedule-group/default")
        role = actor_role(
            f"{name}-schedule",
            trust("scheduler.amazonaws.com", on_behalf_of(location, group)),
            [
                # Put events on the one bus.
                allow(["events:PutEvents"], [bus_arn]),
                # Send what can't be put there to the queue: a schedule sends dead letters with its own role.
                allow(["sqs:SendMessage"], [dead_letters.arn]),
            ],
            self,
        )
        aws.scheduler.Schedule(
            f"{name}-schedule",
            schedule_expression=settings.schedule,
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": bus_arn,
                "role_arn": role.arn,
                "eventbridge_parameters": {"detail_type": DETAIL_TYPE, "source": settings.event_source},
                "input": json.dumps(settings.scheduled_request, sort_keys=True),
                "retry_policy": {
                    "maximum_event_age_in_seconds": MAX_EVENT_AGE_SECONDS,
                    "maximum_retry_attempts": MAX_RETRIES,
                },
                "dead_letter_config": {"arn": dead_letters.arn},
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[role.policy]),
        )
