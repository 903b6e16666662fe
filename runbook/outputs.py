"""The outputs of a stack: all that the runbook has to know about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runbook.errors import StackNotDeployed

MAX_TTL_DAYS = 3650
"""What `journalTtlDays` may be at most; for stacks that don't export it yet."""
LOG_GROUP_PREFIX = "/aws/bedrock-agentcore/runtimes/"
"""A log group for each endpoint, `<prefix><agent id>-<endpoint>`.

Source: https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/observability-configure.html
"""

_NAMES = {
    "journal_table_name": "journalTableName",
    "artifact_bucket_name": "artifactBucketName",
    "invoker_function_name": "invokerFunctionName",
    "state_machine_arn": "stateMachineArn",
    "agent_runtime_arn": "agentRuntimeArn",
    "agent_runtime_id": "agentRuntimeId",
    "agent_log_group_name": "agentLogGroupName",
    "event_source": "eventSource",
    "event_detail_type": "eventDetailType",
    "dead_letter_queue_url": "deadLetterQueueUrl",
    "name_prefix": "dashboardName",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOutputs:
    """What a stack exports, under the names of `__main__.py`.

    :ivar name_prefix: what the names of the stack's resources begin with; the dashboard is called just that
    :ivar alarm_names: short names of the alarms that the stack has, `runs-failed` for instance
    :ivar workflows: the names of the agent's workflows, the default first; none for stacks that don't export them
    """

    journal_table_name: str
    artifact_bucket_name: str
    invoker_function_name: str
    state_machine_arn: str
    agent_runtime_arn: str
    agent_runtime_id: str
    agent_log_group_name: str
    event_source: str
    event_detail_type: str
    dead_letter_queue_url: str
    name_prefix: str
    journal_ttl_days: int = MAX_TTL_DAYS
    alarm_names: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, stack: str, outputs: Mapping[str, Any]) -> "StackOutputs":
        """Return the outputs of a stack; those that the runbook doesn't use are ignored.

        :raises StackNotDeployed: if one of them is missing
        """
        missing = [name for name in _NAMES.values() if not outputs.get(name)]
        if len(missing) == len(_NAMES):
            raise StackNotDeployed(f"stack {stack!r} has no outputs: deploy it with `pulumi up --stack {stack}`")
        if missing:
            raise StackNotDeployed(
                f"stack {stack!r} lacks the outputs {', '.join(missing)}: its last deployment is older than this "
                f"runbook or did not finish; deploy it again with `pulumi up --stack {stack}`"
            )
        ttl_days = int(outputs.get("journalTtlDays", MAX_TTL_DAYS))
        named = {field: str(outputs[name]) for field, name in _NAMES.items()}
        return cls(
            journal_ttl_days=ttl_days,
            alarm_names=tuple(outputs.get("alarmNames", ())),
            workflows=tuple(outputs.get("workflows", ())),
            **named,
        )

    @property
    def region(self) -> str:
        """The region that the stack is in, whatever the environment's default is."""
        return self.state_machine_arn.split(":")[3]

    @property
    def partition(self) -> str:
        """The partition that the stack is in, `aws` for most."""
        return self.state_machine_arn.split(":")[1]

    @property
    def account(self) -> str:
        """The account that the stack is in, twelve digits."""
        return self.state_machine_arn.split(":")[4]

    @property
    def title(self) -> str:
        """What tells the stack from all others, for people."""
        return f"{self.event_source} in {self.account}/{self.region}"

    @property
    def agent_qualifier(self) -> str:
        """The agent runtime's endpoint, which the log group's name ends with."""
        return self.agent_log_group_name.removeprefix(f"{LOG_GROUP_PREFIX}{self.agent_runtime_id}-")
