"""The Pulumi program: configuration → components → outputs."""

import pulumi

from components.abandoned_runs import AbandonedRuns
from components.agent_runtime import AgentRuntime
from components.artifact_store import ArtifactStore
from components.encryption_key import EncryptionKey
from components.finished_runs import FinishedRuns, run_namespace
from components.invoker import InvokerFunction
from components.journal_table import JournalTable
from components.location import Location
from components.observability import Observability
from components.question_mail import QuestionMail
from components.settings import Settings
from components.trigger import DETAIL_TYPE, RunTrigger
from components.workflow import PollingStateMachine
from runtime.agent.workflow import WORKFLOWS

settings = Settings.from_config()
location = Location.of(pulumi.runtime.get_root_resource())
kms_key_arn = (
    EncryptionKey("encryption", {"settings": settings, "location": location}).arn if settings.customer_key else None
)

journal = JournalTable("journal", {"settings": settings, "kms_key_arn": kms_key_arn})
artifacts = ArtifactStore("artifacts", {"settings": settings, "kms_key_arn": kms_key_arn})
agent = AgentRuntime(
    "agent",
    {
        "settings": settings,
        "location": location,
        "journal_table_name": journal.name,
        "journal_table_arn": journal.arn,
        "artifact_bucket_name": artifacts.name,
        "artifact_bucket_arn": artifacts.arn,
        "artifact_store": artifacts,
        "kms_key_arn": kms_key_arn,
    },
)
invoker = InvokerFunction(
    "invoker",
    {
        "settings": settings,
        "location": location,
        "journal_table_name": journal.name,
        "journal_table_arn": journal.arn,
        "agent_runtime_arn": agent.arn,
        "agent_endpoint_arn": agent.endpoint_arn,
        "agent_qualifier": agent.qualifier,
        "kms_key_arn": kms_key_arn,
    },
)
workflow = PollingStateMachine(
    "workflow",
    {
        "settings": settings,
        "location": location,
        "journal_table_name": journal.name,
        "journal_table_arn": journal.arn,
        "function_arn": invoker.arn,
        "kms_key_arn": kms_key_arn,
    },
)
AbandonedRuns("abandoned-runs", {"state_machine_arn": workflow.arn, "function_arn": invoker.arn})
trigger = RunTrigger(
    "trigger",
    {
        "settings": settings,
        "location": location,
        "state_machine_arn": workflow.arn,
        "kms_key_arn": kms_key_arn,
    },
)
if settings.run_metrics:
    FinishedRuns("finished-runs", {"settings": settings, "location": location, "kms_key_arn": kms_key_arn})
if settings.question_email and settings.max_waits:
    QuestionMail("question-mail", {"settings": settings})
observability = Observability(
    "observability",
    {
        "settings": settings,
        "location": location,
        "measured": {
            "journal_table_name": journal.name,
            "state_machine_arn": workflow.arn,
            "function_name": invoker.name,
            "dead_letter_queue_name": trigger.dead_letter_queue_name,
            "agent_runtime_arn": agent.arn,
            "agent_name": agent.metrics_name,
            "run_namespace": run_namespace(location),
        },
    },
)

pulumi.export("journalTableName", journal.name)
pulumi.export("artifactBucketName", artifacts.name)
pulumi.export("invokerFunctionName", invoker.name)
pulumi.export("stateMachineArn", workflow.arn)
pulumi.export("agentRuntimeArn", agent.arn)
pulumi.export("agentRuntimeId", agent.id)
pulumi.export("agentLogGroupName", agent.log_group_name)
pulumi.export("eventSource", settings.event_source)
# This checkout's; an image or a pinned version may have others.
pulumi.export("workflows", list(WORKFLOWS))
pulumi.export("eventDetailType", DETAIL_TYPE)
pulumi.export("deadLetterQueueUrl", trigger.dead_letter_queue_url)
pulumi.export("dashboardName", observability.dashboard_name)
pulumi.export("alarmNames", observability.alarm_names)
pulumi.export("journalTtlDays", settings.journal_ttl_days)
