"""What runs leave behind: log streams, spans, the event of their end, and nothing that should be gone.

Telemetry arrives late, so these looks wait for it, each up to a limit.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError

from runbook.runbook import Runbook
from runbook.verify.findings import Look, Refuted, Unjudged
from runbook.verify.scenarios import Tried
from runbook.verify.state_machine import announced
from runbook.verify.trials import Trials

LOG_SECONDS = 60.0
SPAN_SECONDS = 90.0
GONE_SECONDS = 90.0
"""How long AgentCore may take to tear down a session; a minute was seen."""
SPANS_GROUP = "aws/spans"
"""Where Transaction Search puts the spans of a whole account.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-Transaction-Search.html
"""
TELEMETRY = "see whether the agent's role may write logs and traces; Transaction Search must be on: docs/deployment.md"


def looks(trials: Trials, tried: Tried) -> list[Look]:
    """Return all of them; the runs have ended."""
    return [
        Look("log streams", "one for each environment, by the session's name", lambda: _streams(trials, tried)),
        Look("spans", "the agent's, by the session's id", lambda: _spans(trials, tried), optional=True),
        Look("finished event", "was put on the bus", lambda: _announced(trials.runbook, tried)),
        Look("finished runs' log", "has the run", lambda: _logged(trials, tried), optional=True),
        Look("dead letters", "none", lambda: _dead_letters(trials.runbook)),
        nobody_left(trials),
    ]


def nobody_left(trials: Trials) -> Look:
    """Return the look at environments that should have ended."""
    return Look("environments", "none is left", lambda: _environments(trials))


def _streams(trials: Trials, tried: Tried) -> str:
    group = trials.runbook.outputs.agent_log_group_name
    found = trials.runbook.clients.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    retentions = {each.get("logGroupName"): each.get("retentionInDays") for each in found}
    if not retentions.get(group):
        # One that is written to after it was deleted comes back, but not as the stack made it.
        what = "keeps its lines for ever: the stack's own is gone" if group in retentions else "is gone"
        raise Refuted(f"log group {group} {what}", "`pulumi refresh`, then `pulumi up`")
    wanted = {session: number for session, number in ((tried.completed, 1), (tried.resumed, 2)) if session}
    if not wanted:
        raise Unjudged("no run came to its end")
    return "; ".join(_streams_of(trials, session_id, number) for session_id, number in wanted.items())


def _streams_of(trials: Trials, session_id: str, number: int) -> str:
    def look() -> int | None:
        found = len(trials.runbook.summary(session_id).log_streams)
        return found if found >= number else None

    def missed() -> Refuted:
        return Refuted(f"fewer than {number} of run {session_id}", TELEMETRY)

    return f"{trials.wait_until(look, LOG_SECONDS, missed)} of {session_id[:8]}"


def _spans(trials: Trials, tried: Tried) -> str:
    session_id = tried.run
    found = _lines(trials, SPANS_GROUP, session_id, SPAN_SECONDS, "CloudWatch Transaction Search is off")
    return f"{len(found)} or more in {SPANS_GROUP}"


def _logged(trials: Trials, tried: Tried) -> str:
    group = f"/aws/events/{trials.runbook.outputs.name_prefix}-finished-runs"
    _lines(trials, group, tried.run, LOG_SECONDS, "runMetrics is off")
    return f"in {group}"


def _lines(trials: Trials, group: str, session_id: str, seconds: float, absent: str) -> Sequence[Mapping[str, Any]]:
    logs = trials.runbook.clients.logs
    began = int(trials.runbook.metadata(session_id).created_at.timestamp() * 1000) - 60_000

    def look() -> Sequence[Mapping[str, Any]]:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, filterPattern=f'"{session_id}"', startTime=began
        )
        # The group of a whole account can have many pages without a match.
        return next((page["events"] for page in pages if page["events"] or trials.over), [])

    try:
        return trials.wait_until(look, seconds, lambda: Refuted(f"no line of {session_id} in {group}", TELEMETRY))
    except logs.exceptions.ResourceNotFoundException:
        raise Unjudged(f"not available here: there is no log group {group}: {absent}") from None


def _announced(runbook: Runbook, tried: Tried) -> str:
    arn = runbook.metadata(tried.run).execution_arn
    if not announced(runbook, arn):
        raise Refuted(
            f"execution {arn} did not put it",
            "the state machine's role needs events:PutEvents on the default bus: `pulumi up`",
        )
    return "AgentRunFinished"


def _dead_letters(runbook: Runbook) -> str:
    letters = runbook.dead_letters()
    if letters:
        errors = {letter.error or "no reason given" for letter in letters}
        raise Refuted(f"{len(letters)}: {', '.join(sorted(errors))}", "`runbook dead-letters`, and --redrive")
    return "none"


def _environments(trials: Trials) -> str:
    left = [session_id for session_id in trials.started if _is_left(trials, session_id)]
    if left:
        raise Refuted(
            f"{len(left)} of {len(trials.started)} were: {', '.join(left)}; they are stopped now",
            "the function must know and may call stop_runtime_session: see its log",
        )
    return f"{len(trials.started)} runs, none"


def _is_left(trials: Trials, session_id: str) -> bool:
    """Whether a session still had an environment; one that is on its way out is waited for."""

    def look() -> tuple[bool] | None:
        try:
            return (trials.runbook.stop_session(session_id),)
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != HTTPStatus.CONFLICT:
                raise
            return None

    def missed() -> Refuted:
        return Refuted(f"{session_id} is still being torn down after {GONE_SECONDS:.0f} s", "look again in a minute")

    return trials.wait_until(look, GONE_SECONDS, missed)[0]
