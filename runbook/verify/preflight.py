"""Before anything is started: who asks, what is deployed, what the account may use.

Each look is one or two calls that change nothing; the one to the model costs a few tokens.
"""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import ClientError

from runbook.runbook import Runbook
from runbook.verify.findings import Look, Refuted, Seen
from runtime.journal.timestamps import utc_now

MAX_SKEW = timedelta(seconds=5)
"""Signatures are refused from five minutes on; long before that timelines stop making sense."""
QUOTAS = {"active sessions": "L-3E5722B2"}
"""AgentCore's quotas without which no run starts, by code; `aws service-quotas list-service-quotas` has all.

Source: https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/bedrock-agentcore-limits.html
"""
_FORM = "submit Anthropic's use-case form, once per account: Bedrock console, Model catalog, any Anthropic model"
_SUBSCRIBE = (
    "call the model once as somebody who has aws-marketplace:Subscribe and ViewSubscriptions (this command will do), "
    "and wait a quarter of an hour; the agent's role has neither, on purpose"
)
MODEL_REFUSALS = {
    "use case": _FORM,
    "use-case": _FORM,
    "marketplace": _SUBSCRIBE,
    "legacy": "new customers can't call a legacy model: set modelId to a current one, `pulumi up`",
    "on-demand throughput": "the model needs an inference profile: set modelId to one, `us.…` or `eu.…`, `pulumi up`",
}
"""By what Bedrock says when a model can't be used yet: the way out.

Rules: https://docs.aws.amazon.com/bedrock/latest/userguide/model-access.html
"""
MODEL_OTHERWISE = (
    "allow these credentials bedrock:InvokeModelWithResponseStream on the model, and see whether the model of modelId "
    "can be used in this account and Region"
)


def looks(runbook: Runbook) -> list[Look]:
    """Return all of them."""
    return [*quick_looks(runbook), *_of_the_account(runbook)]


def quick_looks(runbook: Runbook) -> list[Look]:
    """Return those that a pipeline needs before each run."""
    outputs = runbook.outputs

    def look(what: str, expected: str, see: Callable[[Runbook], Seen | str], otherwise: str) -> Look:
        return Look(what, expected, lambda: see(runbook), otherwise)

    return [
        look(
            "identity",
            f"account {outputs.account}, region {outputs.region}",
            _identity,
            "log in to the stack's account: `aws sso login`, or set AWS_PROFILE",
        ),
        look("this clock", f"within {MAX_SKEW.seconds} s of AWS's", _clock, "allow these credentials to ask STS"),
        look("agent", "runtime and endpoint are READY", _agent, "finish the deployment: `pulumi up`"),
        look(
            "function",
            "its boto3 knows stop_runtime_session",
            _function,
            "`pulumi up`: the deployed function is older than this runbook, or these credentials lack "
            "lambda:InvokeFunction",
        ),
    ]


def _of_the_account(runbook: Runbook) -> list[Look]:
    return [
        Look("model", "answers a call of a few tokens", lambda: _model(runbook), MODEL_OTHERWISE),
        *(
            Look(f"quota: {name}", "more than none", lambda code=code: _quota(runbook, code), optional=True)
            for name, code in QUOTAS.items()
        ),
    ]


def _identity(runbook: Runbook) -> str:
    identity = runbook.clients.sts.get_caller_identity()
    if identity["Account"] != runbook.outputs.account:
        raise Refuted(f"account {identity['Account']}", "set AWS_PROFILE to a profile of the stack's account")
    region = runbook.clients.stepfunctions.meta.region_name
    if region != runbook.outputs.region:
        raise Refuted(f"clients of region {region}", "unset AWS_REGION, or connect with the stack's name")
    return identity["Arn"]


def _clock(runbook: Runbook) -> str:
    before = utc_now()
    answer = runbook.clients.sts.get_caller_identity()
    after = utc_now()
    # The header has whole seconds: theirs is at most one later than it says.
    theirs = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    behind, ahead = theirs - after, before - (theirs + timedelta(seconds=1))
    skew = max(behind, ahead, timedelta(0))
    if skew > MAX_SKEW:
        which = "behind" if behind > ahead else "ahead"
        raise Refuted(f"{skew.total_seconds():.0f} s {which}", "set this machine's clock: turn NTP on")
    return f"within {skew.total_seconds() + 1:.0f} s"


def _agent(runbook: Runbook) -> str:
    outputs, control = runbook.outputs, runbook.clients.agentcore_control
    runtime = control.get_agent_runtime(agentRuntimeId=outputs.agent_runtime_id)
    endpoint = control.get_agent_runtime_endpoint(
        agentRuntimeId=outputs.agent_runtime_id, endpointName=outputs.agent_qualifier
    )
    for name, found in (("runtime", runtime), ("endpoint", endpoint)):
        if found["status"] != "READY":
            reason = found.get("failureReason", "no reason given")
            raise Refuted(f"{name} is {found['status']}: {reason}", "see what the deployment said; `pulumi up`")
    return f"version {endpoint.get('liveVersion')} is live"


def _function(runbook: Runbook) -> Seen:
    began = time.monotonic()
    answer = runbook.clients.functions.invoke(
        FunctionName=runbook.outputs.invoker_function_name, Payload=json.dumps({"operation": "describe"}).encode()
    )
    seconds = time.monotonic() - began
    with answer["Payload"] as body:
        said: dict[str, Any] = json.loads(body.read())
    if "FunctionError" in answer:
        raise Refuted(
            f"{said.get('errorType')}: {said.get('errorMessage')}",
            "`pulumi up`: the deployed function doesn't know the operation `describe`, or can't start",
        )
    versions = f"boto3 {said['boto3']}, Python {said['python']}"
    if not said["stopRuntimeSession"]:
        raise Refuted(
            f"{versions}, without it",
            "AWS has yet to update the function's runtime: environments end when they idle out, not at once",
        )
    return Seen(versions, seconds)


def _model(runbook: Runbook) -> Seen:
    model_id = runbook.model_id()
    began = time.monotonic()
    try:
        answer = runbook.clients.bedrock_runtime.converse_stream(
            modelId=model_id,
            messages=[{"role": "user", "content": [{"text": "Say OK."}]}],
            inferenceConfig={"maxTokens": 5},
        )
        # An error can come with the first part of the stream.
        parts = list(answer["stream"])
    except ClientError as error:
        text = str(error)
        do = next((do for sign, do in MODEL_REFUSALS.items() if sign in text.lower()), MODEL_OTHERWISE)
        raise Refuted(f"{model_id}: {text}", do) from error
    if not any("messageStop" in part for part in parts):
        raise Refuted(f"{model_id} began to answer and did not end", "try again")
    return Seen(model_id, time.monotonic() - began)


def _quota(runbook: Runbook, code: str) -> str:
    quota = runbook.clients.service_quotas.get_service_quota(ServiceCode="bedrock-agentcore", QuotaCode=code)["Quota"]
    if not quota["Value"] > 0:
        raise Refuted(
            f"{quota['QuotaName']} is {quota['Value']:g}",
            f"ask for more: Service Quotas, AWS services, Bedrock AgentCore, {code}",
        )
    return f"{quota['Value']:g}"
