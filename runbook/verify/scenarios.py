"""What is tried, each with a run of its own and at the same time as the others. A scenario returns rows.

The first one's run is the one that the later looks are about: what it left in logs, traces and metrics.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from runbook.executions import Execution
from runbook.labels import duration
from runbook.verify.findings import Look, Refuted, Row, Seen, Unjudged
from runbook.verify.state_machine import wakes
from runbook.verify.trials import Trials
from runtime.journal.records import Event
from runtime.journal.vocabulary import Status, StepPhase, step_status

HOLD_SECONDS = 60
RESUMED_HOLD_SECONDS = 6
"""Long enough to be stopped in the middle of; the second attempt works as long again."""
MAX_HELD_SECONDS = 60.0
MAX_COLD_START_SECONDS = 60.0
MAX_WAKING = timedelta(seconds=5)
CLOCKS = timedelta(seconds=1)
AWKWARD = "complete \"double\" 'single' \\back\\\\slashes\\ \\n <id> ${x} {% $x %} $.detail\r\n\ttab\nπ € 😀"
WORKING = step_status("work", StepPhase.STARTED)
AT_ONCE = ("prepare", "beside")
SKIPPED = step_status("prepare", StepPhase.SKIPPED)


@dataclass
class Tried:
    """What scenarios leave for later looks; a session id is None while its scenario hasn't come that far."""

    completed: str | None = None
    resumed: str | None = None
    outcome: Event | None = None

    @property
    def run(self) -> str:
        """The run that the later looks are about.

        :raises Unjudged: if it never came to an end
        """
        if self.completed is None:
            raise Unjudged("no run came to its end")
        return self.completed


Scenario = Callable[[Trials, Tried], Sequence[Row]]


def completes_once(trials: Trials, tried: Tried) -> list[Row]:
    """A run that completes, what it took, and that its event starts nothing when it comes a second time."""
    twice = Look("the same event twice", "the second starts nothing", lambda: _duplicate(trials, tried))
    return [*completes(trials, tried), twice.row()]


def completes(trials: Trials, tried: Tried) -> list[Row]:
    """A run that completes, and what it took."""
    looks = [
        Look("a run", "an event, a run, a report", lambda: _completes(trials, tried)),
        Look("two steps at once", "both write to the journal", lambda: _beside_one_another(trials, tried)),
        Look("function held", f"under {MAX_HELD_SECONDS:g} s", lambda: _held(trials, tried)),
        Look("cold start", f"under {MAX_COLD_START_SECONDS:g} s", lambda: _cold_start(trials, tried)),
        Look("end noticed", "by the next poll", lambda: _noticed(trials, tried)),
        Look("callback", f"wakes the execution within {MAX_WAKING.seconds} s", lambda: _woken(trials, tried)),
    ]
    return [look.row() for look in looks]


def refused(trials: Trials, _tried: Tried) -> list[Row]:
    """A request without a prompt."""
    return [Look("a bad request", "closed, with the field's name", lambda: _refused(trials)).row()]


def awkward(trials: Trials, _tried: Tried) -> list[Row]:
    """A prompt that templates and quoting break on."""
    return [Look("quotes, backslashes", "arrive as they were sent", lambda: _awkward(trials)).row()]


def cancelled(trials: Trials, _tried: Tried) -> list[Row]:
    """A run that is cancelled in the middle of a step."""
    return [Look("a cancelled run", "is closed, and its execution ends", lambda: _cancelled(trials)).row()]


def resumed(trials: Trials, tried: Tried) -> list[Row]:
    """A run whose environment is stopped in the middle of a step."""
    expected = "goes on in a second environment"
    return [Look("a stopped environment", expected, lambda: _resumed(trials, tried)).row()]


def abandoned(trials: Trials, _tried: Tried) -> list[Row]:
    """A run whose execution is stopped by hand."""
    expected = "the rule on status changes closes its run"
    return [Look("a stopped execution", expected, lambda: _abandoned(trials)).row()]


ALL: tuple[Scenario, ...] = (completes_once, refused, awkward, cancelled, resumed, abandoned)
QUICK: tuple[Scenario, ...] = (completes,)


def _completes(trials: Trials, tried: Tried) -> Seen:
    session_id = trials.start("complete")
    # Whatever it becomes, it leaves logs: the later looks need it most when it fails.
    tried.completed, tried.outcome = session_id, trials.wait_for_end(session_id)
    outcome = _expect(trials, session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED)
    if trials.runbook.report(session_id) != "complete":
        raise Refuted("another report than the workflow `verify` writes", "`pulumi up`: the agent's code is older")
    return Seen(session_id, trials.runbook.events(session_id).seconds(outcome))


def _beside_one_another(trials: Trials, tried: Tried) -> str:
    expected = sorted(
        step_status(step, phase) for step in AT_ONCE for phase in (StepPhase.STARTED, StepPhase.COMPLETED)
    )
    found = sorted(event.status for event in trials.events(tried.run) if event.step in AT_ONCE)
    if found != expected:
        raise trials.explain(tried.run, f"{', '.join(found) or 'nothing'} instead of {', '.join(expected)}")
    return f"all events of {' and '.join(AT_ONCE)}"


def _held(trials: Trials, tried: Tried) -> Seen:
    seconds = _execution(trials, tried).invoker_seconds
    return _measured(seconds, MAX_HELD_SECONDS, "the agent takes long to acknowledge: `runbook logs`")


def _cold_start(trials: Trials, tried: Tried) -> Seen:
    seconds = trials.runbook.summary(tried.run).acknowledge_seconds
    return _measured(seconds, MAX_COLD_START_SECONDS, "see what the agent imports before it answers; benchmarks/")


def _noticed(trials: Trials, tried: Tried) -> Seen:
    took = _until_noticed(trials, tried)
    return Seen(f"{took:.1f} s after the outcome", took)


def _woken(trials: Trials, tried: Tried) -> Seen:
    if not wakes(trials.runbook):
        raise Unjudged("not configured: completion is poll")
    took = _until_noticed(trials, tried)
    if took > MAX_WAKING.total_seconds():
        raise Refuted(
            f"{took:.1f} s after the outcome, by a poll: nobody woke it",
            "the agent's role needs dynamodb:Query on the table and states:SendTaskSuccess, and the agent COMPLETION="
            "callback: `pulumi up`; its log says what was refused",
        )
    return Seen(f"{took:.1f} s after the outcome", took)


def _until_noticed(trials: Trials, tried: Tried) -> float:
    execution, outcome = _execution(trials, tried), tried.outcome
    if outcome is None or not execution.polled_at:
        raise Unjudged("the execution never looked")
    # The agent's clock and Step Functions': a little before it counts as at once.
    looked = [at for at in execution.polled_at if at > outcome.created_at - CLOCKS]
    if not looked:
        raise Unjudged("the clocks of the agent and of Step Functions are too far apart")
    return max(0.0, (looked[-1] - outcome.created_at).total_seconds())


def _duplicate(trials: Trials, tried: Tried) -> str:
    runbook, session_id = trials.runbook, tried.run
    before = len(trials.events(session_id))
    # What EventBridge does when it delivers an event twice.
    arn = runbook.clients.stepfunctions.start_execution(
        stateMachineArn=runbook.outputs.state_machine_arn,
        name=f"verify-{session_id}"[:80],
        input=json.dumps({"session_id": session_id, "request": runbook.metadata(session_id).request}),
    )["executionArn"]
    status = trials.wait_for_execution_arn(arn)
    events = trials.events(session_id)
    if status != "SUCCEEDED" or len(events) != before:
        added = ", ".join(event.status for event in events[before:]) or "no event"
        raise Refuted(
            f"its execution ended as {status}; {added}", "the claim doesn't hold: see the execution's history"
        )
    return "a quiet end, no event"


def _refused(trials: Trials) -> str:
    session_id = trials.put({"workflow": "verify"})
    outcome = _expect(trials, session_id, Status.SESSION_FAILED, "InvalidRequest")
    if "request.prompt" not in str(outcome.error_message):
        raise trials.explain(session_id, "the refusal doesn't name the field")
    return str(outcome.error_message)


def _awkward(trials: Trials) -> str:
    session_id = trials.start(AWKWARD)
    _expect(trials, session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED)
    stored = trials.runbook.metadata(session_id).request.get("prompt")
    for where, text in (("journal", stored), ("agent", trials.runbook.report(session_id))):
        if text != AWKWARD:
            raise Refuted(f"the {where} has {text!r}", "the rule's input transformer: components/trigger.py")
    return "in the journal and at the agent"


def _cancelled(trials: Trials) -> Seen:
    session_id = _at_work(trials)
    began = time.monotonic()
    trials.runbook.cancel(session_id, "runbook verify tries a cancel")
    _expect(trials, session_id, Status.SESSION_CANCELLED)
    return Seen("closed", time.monotonic() - began)


def _resumed(trials: Trials, tried: Tried) -> Seen:
    session_id = trials.start(f"hold {RESUMED_HOLD_SECONDS}")
    trials.wait_for(session_id, WORKING)
    began = time.monotonic()
    if not trials.runbook.stop_session(session_id):
        raise Refuted(f"AgentCore knows no session {session_id} that works", "see the agent's log group")
    tried.resumed = session_id
    outcome = _expect(trials, session_id, Status.AGENT_BACKGROUND_TASK_COMPLETED)
    events = trials.events(session_id)
    environments = {event.environment_id for event in events if event.environment_id}
    if len(environments) < 2 or outcome.attempt == 1:
        raise trials.explain(session_id, "the stop came too late or stopped nothing")
    if SKIPPED not in {event.status for event in events}:
        raise trials.explain(session_id, "the finished step was done again")
    again = next(event for event in events if event.attempt and event.attempt > 1)
    took = (again.created_at - trials.wait_for(session_id, WORKING).created_at).total_seconds()
    return Seen(f"attempt {outcome.attempt}, called {duration(took)} after the first began", time.monotonic() - began)


def _abandoned(trials: Trials) -> Seen:
    session_id = _at_work(trials)
    began = time.monotonic()
    arn = trials.runbook.metadata(session_id).execution_arn
    trials.runbook.clients.stepfunctions.stop_execution(executionArn=arn, error="Verify", cause="runbook verify")
    _expect(trials, session_id, Status.SESSION_FAILED, "ExecutionEnded")
    return Seen("closed as ExecutionEnded", time.monotonic() - began)


def _at_work(trials: Trials) -> str:
    session_id = trials.start(f"hold {HOLD_SECONDS}")
    trials.wait_for(session_id, WORKING)
    return session_id


def _expect(trials: Trials, session_id: str, status: str, error_type: str | None = None) -> Event:
    """Wait until a run and its execution have ended, and return the outcome, which has to be that."""
    outcome = trials.wait_for_end(session_id)
    trials.wait_for_execution(session_id)
    if outcome.status != status or (error_type and outcome.error_type != error_type):
        raise trials.explain(session_id, f"{outcome.status} instead of {status}")
    return outcome


def _execution(trials: Trials, tried: Tried) -> Execution:
    return trials.runbook.execution(tried.run)


def _measured(seconds: float | None, max_seconds: float, do: str) -> Seen:
    if seconds is None:
        raise Unjudged("no call of the agent went well")
    if seconds > max_seconds:
        raise Refuted(duration(seconds), do)
    return Seen(duration(seconds), seconds)
