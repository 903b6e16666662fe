"""The stack's configuration: read once, typed, validated.

Owns every rule that Pulumi.yaml's types can't express (ranges, sets, combinations). Pulumi.yaml has the defaults and
descriptions; `components.workflow_budget`, which knows what a poll costs, checks the poll budget.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import pulumi
import yaml
from pulumi.runtime.config import CONFIG

from runtime.agent.workflow import WORKFLOWS
from runtime.contract.segment import MAX_WAITS

USUAL_WAITS = 3
"""How often a run may wait for a person, where a workflow asks and nothing else is configured."""
PROJECT_FILE = Path(__file__).resolve().parents[1] / "Pulumi.yaml"
INTEGERS: dict[str, range] = {
    "answerSeconds": range(1, 30 * 86400 + 1),
    "callbackPollSeconds": range(10, 3600 + 1),
    # https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-lifecycle-settings.html
    "idleSessionTimeoutSeconds": range(60, 28800 + 1),
    "maxSessionLifetimeSeconds": range(60, 28800 + 1),
    "invokeRetrySeconds": range(1, 86400 + 1),
    "journalTtlDays": range(1, 3650 + 1),
    "leaseSeconds": range(4, 600 + 1),
    "maxAttempts": range(1, 10 + 1),
    "maxTokens": range(10**9 + 1),
    "parallelSteps": range(1, 32 + 1),
    "maxRunSeconds": range(10, 28800 + 1),
    "pollGrowthPercent": range(100 + 1),
    "pollIntervalSeconds": range(1, 300 + 1),
    "pollMaxIntervalSeconds": range(1, 3600 + 1),
    # An alarm with one-hour periods looks back at most seven days:
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    "quietHours": range(168 + 1),
}
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
LOG_RETENTION_DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545),
    *(731, 1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
# Where AgentCore has platform version V2: since September 2026, and Frankfurt since November. AWS keeps adding Regions.
# https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-how-it-works.html#runtime-platform-versions
V2_REGIONS = ("ap-northeast-1", "eu-central-1", "eu-west-1", "us-east-1", "us-east-2", "us-west-2")
TEXTS: dict[str, tuple[str, str]] = {
    "agentCode": ("bundle|source", "bundle or source"),
    "agentImage": (
        r"|\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/[a-z0-9._/-]+(:[\w.-]+)?(@sha256:[0-9a-f]{64})?",
        "an ECR image URI or empty",
    ),
    "agentVersion": (r"|[1-9]\d{0,4}", "a version from 1 to 99999 or empty"),
    "alarmEmail": (r"|[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address or empty"),
    "completion": ("poll|callback", "poll or callback"),
    # https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html
    "eventSource": (
        r"|(?!aws\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,199}",
        "empty or at most 200 letters, digits and . _ / - that don't start with aws.",
    ),
    "maxWaits": (f"|[0-{MAX_WAITS - 1}]|{MAX_WAITS}", f"0 to {MAX_WAITS} or empty"),
    "modelId": (r"[a-z0-9][a-z0-9.:_-]{2,199}", "a model id or inference profile id, not an ARN"),
    "platformVersion": ("|V1|V2", "V1, V2 or empty"),
    "questionEmail": (r"|[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address or empty"),
    "schedule": (r"|(rate|cron|at)\(.+\)", "rate(...), cron(...), at(...) or empty"),
}
# Regions of the partition aws, by AWS's own pattern; ARNs and service principals are written for it.
REGION = r"(af|ap|ca|eu|il|me|mx|sa|us)-\w+-\d+"
# Inference profiles, which spread calls over Regions: the prefix of their ids → the Regions that may call them.
# https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
PROFILES = {
    "apac": "(ap|me)-.+",
    "au": "ap-southeast-[246]",
    "ca": "ca-.+",
    "eu": "(eu|il)-.+",
    "global": ".+",
    "jp": "ap-northeast-[13]",
    "us": "(us|ca)-.+",
    "us-gov": "us-gov-.+",
}


@dataclass(frozen=True)
class Settings:
    """Every configuration value of a stack, valid on its own and together with the others.

    Pulumi.yaml describes each one, under the same name in camelCase.
    """

    agent_code: str
    agent_image: str
    agent_version: str
    alarm_email: str
    answer_seconds: int
    callback_poll_seconds: int
    capture_model_text: bool
    completion: str
    customer_key: bool
    event_source: str
    idle_session_timeout_seconds: int
    invoke_retry_seconds: int
    journal_ttl_days: int
    lease_seconds: int
    log_retention_days: int
    max_attempts: int
    max_run_seconds: int
    max_session_lifetime_seconds: int
    max_tokens: int
    max_waits: int
    model_id: str
    parallel_steps: int
    platform_version: str
    poll_growth_percent: int
    poll_interval_seconds: int
    poll_max_interval_seconds: int
    protect_data: bool
    question_email: str
    quiet_hours: int
    require_tls: bool
    run_metrics: bool
    schedule: str
    scheduled_request: dict[str, Any]

    @classmethod
    def defaults(cls, **changes: Any) -> Settings:
        """Return what Pulumi.yaml declares, for what is computed without a stack; the event source is empty then.

        :param changes: fields that are to differ, which are not checked
        """
        declared = yaml.safe_load(PROJECT_FILE.read_text(encoding="utf-8"))["config"]
        values: dict[str, Any] = {field.name: declared[_camel_case(field.name)]["default"] for field in fields(cls)}
        values["max_waits"] = _max_waits(values["max_waits"])
        return cls(**values | changes)

    @classmethod
    def from_config(cls) -> Settings:
        """Read the stack's configuration.

        :raises pulumi.RunError: if a value is missing, not allowed, or contradicts another, or a key is unknown
        """
        _check_known()
        config = pulumi.Config()
        settings = cls(
            agent_code=_text(config, "agentCode"),
            agent_image=_text(config, "agentImage"),
            agent_version=_text(config, "agentVersion"),
            alarm_email=_text(config, "alarmEmail"),
            answer_seconds=_integer(config, "answerSeconds"),
            callback_poll_seconds=_integer(config, "callbackPollSeconds"),
            capture_model_text=config.require_bool("captureModelText"),
            completion=_text(config, "completion"),
            customer_key=config.require_bool("customerKey"),
            # One source per stack: two stacks in one account must not start each other's runs.
            event_source=_text(config, "eventSource") or f"{pulumi.get_project()}.{pulumi.get_stack()}",
            idle_session_timeout_seconds=_integer(config, "idleSessionTimeoutSeconds"),
            invoke_retry_seconds=_integer(config, "invokeRetrySeconds"),
            journal_ttl_days=_integer(config, "journalTtlDays"),
            lease_seconds=_integer(config, "leaseSeconds"),
            log_retention_days=_log_retention_days(config),
            max_attempts=_integer(config, "maxAttempts"),
            max_run_seconds=_integer(config, "maxRunSeconds"),
            max_session_lifetime_seconds=_integer(config, "maxSessionLifetimeSeconds"),
            max_tokens=_integer(config, "maxTokens"),
            max_waits=_max_waits(_text(config, "maxWaits")),
            model_id=_text(config, "modelId"),
            parallel_steps=_integer(config, "parallelSteps"),
            platform_version=_text(config, "platformVersion") or _platform_version(),
            poll_growth_percent=_integer(config, "pollGrowthPercent"),
            poll_interval_seconds=_integer(config, "pollIntervalSeconds"),
            poll_max_interval_seconds=_integer(config, "pollMaxIntervalSeconds"),
            protect_data=config.require_bool("protectData"),
            question_email=_text(config, "questionEmail"),
            quiet_hours=_integer(config, "quietHours"),
            require_tls=config.require_bool("requireTls"),
            run_metrics=config.require_bool("runMetrics"),
            schedule=_text(config, "schedule"),
            scheduled_request=_scheduled_request(config),
        )
        _check_together(settings)
        _check_region(settings.model_id)
        return settings


def _check_known() -> None:
    # Pulumi checks the values of declared keys but silently accepts any other key. Its Config can't list keys; the
    # language host leaves all of them here.
    for full in sorted(CONFIG.get()):
        namespace, _, key = full.partition(":")
        if namespace == pulumi.get_project() and key not in known_keys():
            nearest = difflib.get_close_matches(key, known_keys(), n=1, cutoff=0)[0]
            raise pulumi.RunError(f"{full} is not a key of this project; the nearest is {namespace}:{nearest}.")


def known_keys() -> set[str]:
    """The project's configuration keys, without its name."""
    return {_camel_case(field.name) for field in fields(Settings)}


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _integer(config: pulumi.Config, key: str) -> int:
    value, allowed = config.require_int(key), INTEGERS[key]
    if value not in allowed:
        raise _not_allowed(key, value, f"{allowed.start} to {allowed.stop - 1}")
    return value


def _log_retention_days(config: pulumi.Config) -> int:
    value = config.require_int("logRetentionDays")
    if value not in LOG_RETENTION_DAYS:
        raise _not_allowed("logRetentionDays", value, f"one of {', '.join(map(str, LOG_RETENTION_DAYS))}")
    return value


def _text(config: pulumi.Config, key: str) -> str:
    value, (pattern, allowed) = config.require(key), TEXTS[key]
    if not re.fullmatch(pattern, value):
        raise _not_allowed(key, value, allowed)
    return value


def _scheduled_request(config: pulumi.Config) -> dict[str, Any]:
    value: object = config.require_object("scheduledRequest")
    if not isinstance(value, dict):
        raise _not_allowed("scheduledRequest", value, "an object")
    return cast("dict[str, Any]", value)


def _platform_version() -> str:
    return "V2" if pulumi.Config("aws").get("region") in V2_REGIONS else "V1"


def _max_waits(chosen: str) -> int:
    asks = any(workflow.asks for workflow in WORKFLOWS.values())
    return int(chosen) if chosen else USUAL_WAITS if asks else 0


def _check_together(settings: Settings) -> None:
    lifetime = settings.max_session_lifetime_seconds
    bounded = {
        # An environment whose lifetime is shorter than its idle timeout or its run would lose runs by design.
        "idleSessionTimeoutSeconds": settings.idle_session_timeout_seconds,
        "maxRunSeconds": settings.max_run_seconds,
    }
    for key, value in bounded.items():
        if value > lifetime:
            raise _not_allowed(key, value, f"at most maxSessionLifetimeSeconds, which is {lifetime}")
    asking = [name for name, workflow in WORKFLOWS.items() if workflow.asks]
    if asking and not settings.max_waits:
        raise _not_allowed(
            "maxWaits", settings.max_waits, f"1 to {MAX_WAITS} or empty, because the workflow {asking[0]} asks a person"
        )
    prompt = settings.scheduled_request.get("prompt")
    if settings.schedule and not (isinstance(prompt, str) and prompt.strip()):
        raise _not_allowed(
            "scheduledRequest", settings.scheduled_request, "an object with a prompt, because schedule is set"
        )


def _check_region(model_id: str) -> None:
    # The stack's own Region, not the deployer's, which the provider would fall back to.
    region = pulumi.Config("aws").get("region") or ""
    if not re.fullmatch(REGION, region):
        raise pulumi.RunError(f"aws:region is {region!r}; allowed is a Region of the partition aws, such as us-east-1.")
    profile = model_id.partition(".")[0]
    if not re.fullmatch(PROFILES.get(profile, ".+"), region):
        here = " or ".join(f"{name}." for name, regions in PROFILES.items() if re.fullmatch(regions, region))
        raise _not_allowed("modelId", model_id, f"in {region} a model id, or a profile that begins with {here}")


def _not_allowed(key: str, value: object, allowed: str) -> pulumi.RunError:
    # The language host shows a RunError without a traceback.
    return pulumi.RunError(f"{pulumi.get_project()}:{key} is {value!r}; allowed is {allowed}.")
