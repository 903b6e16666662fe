"""Who is told when something is wrong, and where to look: alarms, mail, one dashboard.

Owns the resources; `alarms` lists the alarms, `dashboard` what the dashboard shows.
"""

from __future__ import annotations

from typing import TypedDict

import pulumi
import pulumi_aws as aws

from components.alarms import Alarm, alarms
from components.dashboard import dashboard
from components.location import Location
from components.metrics import Measured
from components.settings import Settings


class ObservabilityArgs(TypedDict):
    """Arguments of Observability."""

    settings: Settings
    location: Location
    measured: Measured


class Observability(pulumi.ComponentResource):
    """The stack's alarms, a topic that mails them if there is an address, and the dashboard."""

    dashboard_name: pulumi.Output[str]
    alarm_names: list[str]

    def __init__(self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("fire-and-forget:index:Observability", name, None, opts)
        location = args["location"]
        actions = self._mail(name, args["settings"].alarm_email)
        table = alarms(args["measured"], args["settings"])
        for alarm in table:
            self._alarm(f"{name}-{alarm.name}", alarm, actions)
        self.alarm_names = [alarm.name for alarm in table]
        board = aws.cloudwatch.Dashboard(
            f"{name}-dashboard",
            dashboard_name=location.prefix,
            dashboard_body=pulumi.Output.json_dumps(
                dashboard(args["measured"], location.region, may_wait=args["settings"].max_waits > 0)
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.dashboard_name = board.dashboard_name
        self.register_outputs({"dashboardName": self.dashboard_name})

    def _mail(self, name: str, address: str) -> list[pulumi.Output[str]]:
        if not address:
            return []
        child = pulumi.ResourceOptions(parent=self)
        topic = aws.sns.Topic(f"{name}-alarms", opts=child)
        # AWS asks the address to confirm; until then nothing is mailed.
        aws.sns.TopicSubscription(f"{name}-mail", topic=topic.arn, protocol="email", endpoint=address, opts=child)
        return [topic.arn]

    def _alarm(self, name: str, alarm: Alarm, actions: list[pulumi.Output[str]]) -> None:
        aws.cloudwatch.MetricAlarm(
            name,
            alarm_description=alarm.description,
            namespace=alarm.metric.namespace,
            metric_name=alarm.metric.name,
            dimensions=alarm.metric.dimensions,
            statistic=alarm.statistic,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            period=alarm.period_seconds,
            evaluation_periods=alarm.periods,
            treat_missing_data=alarm.missing,
            alarm_actions=actions,
            ok_actions=actions,
            opts=pulumi.ResourceOptions(parent=self),
        )
