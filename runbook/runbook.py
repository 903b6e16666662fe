"""The runbook of one stack: every question to a run, and every action on one, is a method here.

Puts the parts together; their modules find runs, read logs and estimate costs.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from runbook import answering, cancelling, costs, events, executions, log_lines, pulling, retrying, stuck
from runbook.answering import OpenWait, OpenWaits, WaitFinder
from runbook.artifacts import Artifact
from runbook.clients import Clients
from runbook.costs import Cost
from runbook.dead_letters import DeadLetter, DeadLetterQueue, DeadLetters
from runbook.errors import (
    AlreadyRetried,
    ArtifactNotFound,
    NoRecentRun,
    NothingToRetry,
    ReportMissing,
    RunNotFound,
    RunStillOpen,
    ToolsMayRunAgain,
)
from runbook.events import Events
from runbook.executions import Execution
from runbook.labels import OPEN
from runbook.log_lines import LogLines
from runbook.logs import AgentLogs, LogStreams
from runbook.outputs import StackOutputs
from runbook.runs import CLOCK_SKEW, RunFinder, Runs, days, workflow_of
from runbook.stuck import StuckRuns
from runbook.summary import RunSummary
from runbook.triggering import Trigger, request_of
from runtime.agent.bucket import content_of, keys_below
from runtime.contract.request import check_session_id, parse_request
from runtime.journal.keys import artifact_prefix
from runtime.journal.reader import JournalReader
from runtime.journal.records import Event, RunMetadata
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.waits import Answer, AnsweredWait
from runtime.journal.waker import Waker

if TYPE_CHECKING:
    from runbook.console import Console
    from runtime.agent.definition import Workflow

STUCK_WINDOW = timedelta(days=2)
LATEST = "latest"
LOOK_BACK = timedelta(days=2)
RETRIES_WINDOW = timedelta(days=14)
"""How far back retries are looked for: each day is a query."""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What came of a cancel.

    :ivar event: the terminal event that closed the run
    :ivar session_stopped: whether AgentCore had a session, and stopped it
    :ivar stop_error: why it could not be asked to, None if it could
    """

    event: Event
    session_stopped: bool
    stop_error: str | None


class Runbook:
    """What can be asked and done about the runs of one stack.

    All times are UTC and all durations seconds. Where a method takes a session id, `latest` is the run that began last,
    and spaces around an id don't matter. Methods that name a run raise `InvalidRequest` for what can't be a session id,
    `RunNotFound` for a run that the journal doesn't know, `NoRecentRun` where there is no latest, and
    `botocore.exceptions.ClientError` where AWS refuses.

    :param outputs: the outputs of the stack
    :param clients: with the rights of whoever operates it
    :param moved: asked before each use; returns other outputs and clients once the stack is at another place
    """

    def __init__(
        self,
        outputs: StackOutputs,
        clients: Clients,
        *,
        moved: Callable[[], tuple[StackOutputs, Clients] | None] = lambda: None,
    ) -> None:
        self._place = outputs, clients
        self._moved = moved

    @property
    def outputs(self) -> StackOutputs:
        """The outputs of the stack."""
        return self._access()[0]

    @property
    def clients(self) -> Clients:
        """The clients that all questions and actions go through."""
        return self._access()[1]

    def _access(self) -> tuple[StackOutputs, Clients]:
        self._place = self._moved() or self._place
        return self._place

    def __repr__(self) -> str:
        return f"<Runbook of {self.outputs.title}>"

    @property
    def _reader(self) -> JournalReader:
        return JournalReader(self.clients.dynamodb, self.outputs.journal_table_name)

    @property
    def _logs(self) -> AgentLogs:
        return AgentLogs(self.clients.logs, self.outputs.agent_log_group_name)

    @property
    def _waits(self) -> WaitFinder:
        return WaitFinder(self._reader, self.clients.s3, self.outputs.artifact_bucket_name)

    @property
    def _trigger(self) -> Trigger:
        return Trigger(self.clients.events, self.outputs.event_source, self.outputs.event_detail_type)

    @property
    def _dead_letters(self) -> DeadLetterQueue:
        return DeadLetterQueue(self.clients.sqs, self.outputs.dead_letter_queue_url)

    # -- starting and ending runs

    def trigger(self, prompt: str, *, retry_of: str | None = None, again: bool = False, **fields: Any) -> str:
        """Start a run and return its session id, which is the id of the event that starts it.

        :param prompt: what the agents are to work on, 240 KB at most, quotes counted four times
        :param retry_of: a run whose finished steps, and those of the runs that it retried, this one starts from
        :param again: even if that run has begun calls of tools that must not happen twice
        :param fields: what else a request may say: `workflow`, one of the stack's, its first if left out;
            `requested_by`, who or what asks, 200 characters at most; and `limits`, how many `tokens` the run and how
            many `turns` each of its steps may use, such as `{"tokens": 200_000}`
        :raises InvalidRequest: if the prompt is empty or too long, a field is unknown or not what it has to be, or the
            stack has no such workflow
        :raises RunNotFound: if nothing is known of the run to start from
        :raises ToolsMayRunAgain: as for :meth:`retry`
        :raises TriggerFailed: if EventBridge doesn't take the event
        """
        request = request_of(prompt, fields, self.outputs.workflows)
        if retry_of is not None:
            workflow = request.get("workflow") or next(iter(self.outputs.workflows), None)
            request |= self._retry_fields(retry_of, again, workflow)
        return self._trigger.start([request])[0]

    def trigger_many(self, prompts: Iterable[str]) -> list[str]:
        """Start a run for each prompt and return the session ids in the same order.

        :raises InvalidRequest: if one of the prompts is empty or too long; nothing is started then
        :raises TriggerFailed: if EventBridge doesn't take all events; its fields say which runs were started
        """
        return self._trigger.start([{"prompt": prompt} for prompt in prompts])

    def retry(
        self,
        session_id: str,
        *,
        from_step: str | None = None,
        force: bool = False,
        again: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> str:
        """Start a new run with the request of one that failed, from the steps that it finished.

        :param from_step: does this step, and all that come after it, again, even if the run completed; which these are
            tells the workflow's definition in the code beside the runbook
        :param force: even if it was retried before
        :param again: even if it has begun calls of tools that must not happen twice, in steps that it did not finish;
            the new run's steps are told of them
        :param say: is told in a sentence if that definition is not the one that the run had
        :return: the new run's session id
        :raises RunStillOpen: if the run has no outcome yet
        :raises NothingToRetry: if it completed, and nothing is to be done again
        :raises OtherWorkflow: if a run that it retried, directly or not, is of another workflow
        :raises AlreadyRetried: if a retry of it began in the last 14 days
        :raises ToolsMayRunAgain: if it has begun such calls, or the runs that it retried have, unless `again`
        :raises InvalidRequest: if its request can't be run
        """
        session_id = self.session_id(session_id)
        metadata = self.metadata(session_id)
        outcome = self._reader.outcome(session_id)
        if outcome is None:
            raise RunStillOpen(session_id)
        if outcome.status == Status.AGENT_BACKGROUND_TASK_COMPLETED and not from_step:
            raise NothingToRetry(session_id)
        if not force and (retried_as := self.retried_as(session_id)):
            raise AlreadyRetried(session_id, retried_as)
        request = retrying.read_request(self.clients.stepfunctions, metadata)
        workflow = workflow_of(metadata) or parse_request(request).workflow
        fields = self._retry_fields(session_id, again, workflow, from_step)
        if from_step:
            self._say_other_definition(session_id, retrying.local_workflow(workflow), say)
        return self._trigger.start([request | fields])[0]

    def cancel(self, session_id: str, reason: str) -> Cancellation:
        """Close a run as cancelled, then stop its agent's session.

        The agent finds the outcome at its next write, and the state machine at its next look.

        :param reason: goes into the journal, next to who cancelled: 1 to 2,048 bytes
        :raises InvalidRequest: if the reason is empty, too long, or no text that UTF-8 has
        :raises RunClosed: if the run has its outcome already; nothing is changed then
        :raises JournalDenied: if the operator's rights don't suffice
        :raises JournalUnavailable: if the table doesn't take it for half a minute; the run may or may not be cancelled
        """
        session_id = self.session_id(session_id)
        event = cancelling.close(
            self.clients.dynamodb,
            self.outputs.journal_table_name,
            self.metadata(session_id),
            cancelling.check_reason(reason),
            self.clients.sts.get_caller_identity()["Arn"],
        )
        try:
            stopped, stop_error = self.stop_session(session_id), None
        except (ClientError, BotoCoreError) as error:
            stopped, stop_error = False, str(error)
        self._wake_execution(session_id)
        return Cancellation(event, stopped, stop_error)

    def answer(self, asked: OpenWait, answers: Sequence[Answer]) -> AnsweredWait:
        """Answer all questions of a run that waits for a person: the run goes on with it.

        :param asked: the questions as they were read, from :meth:`waiting` or :meth:`open_wait`: no others are answered
        :param answers: one for each question in its order, such as `asked.answers(approved=True)`
        :raises InvalidRequest: if they don't fit the questions, or are longer than 16 KB
        :raises QuestionsUnreadable: if the questions could not be read
        :raises QuestionsChanged: if the run asks something else
        :raises AnsweredBefore: if they are answered, or have expired
        :raises RunClosed: if the run has its outcome
        :raises JournalDenied: if the operator's rights don't suffice
        :raises JournalUnavailable: if the table doesn't take it for half a minute; it may or may not be answered
        """
        asked.check(answers)
        answered = answering.answer(
            self.clients.dynamodb,
            self.outputs.journal_table_name,
            self.metadata(asked.session_id),
            asked,
            answers,
            self.clients.sts.get_caller_identity()["Arn"],
        )
        self._wake_execution(asked.session_id)
        return answered

    def stop_session(self, session_id: str) -> bool:
        """Stop the execution environment that works on a run. The run goes on, in a fresh one, as its next attempt.

        :return: whether there was one
        :raises botocore.exceptions.BotoCoreError: if AgentCore doesn't answer
        """
        agentcore = self.clients.agentcore
        try:
            agentcore.stop_runtime_session(
                agentRuntimeArn=self.outputs.agent_runtime_arn,
                qualifier=self.outputs.agent_qualifier,
                runtimeSessionId=self.session_id(session_id),
            )
        except agentcore.exceptions.ResourceNotFoundException:
            return False
        return True

    # -- one run

    def session_id(self, text: str, field: str = "session_id") -> str:
        """Return the session id that a text means: itself, or the id of the run that began last for `latest`.

        :param field: what an error calls it
        :raises NoRecentRun: if it means the latest run, and none began or ended in the last two days
        """
        text = text.strip()
        if text != LATEST:
            return check_session_id(text, field)
        runs = self.runs(utc_now() - LOOK_BACK)
        if not runs:
            raise NoRecentRun(LOOK_BACK)
        return runs[-1].session_id

    def retried_as(self, session_id: str) -> str | None:
        """Return the newest run that retries a run, of those that began in the last 14 days.

        :raises RunNotFound: if the run was never started
        """
        session_id = self.session_id(session_id)
        began_at = self.metadata(session_id).created_at
        later = self.runs(max(began_at - CLOCK_SKEW, utc_now() - RETRIES_WINDOW))
        return next((run.session_id for run in reversed(later) if run.retry_of == session_id), None)

    def watch(self, session_id: str, *, timeout_seconds: float, poll_seconds: float = 0.5) -> Iterator[Event]:
        """Yield the events of a run as they arrive, and end after its terminal one.

        Events come from several clocks, so one that arrives late may be stamped earlier than its predecessors.

        :raises RunNotFound: if no event at all appears in time, or within a minute
        :raises WatchTimeout: if the run has no outcome in time; the run itself goes on
        :raises WatchInterrupted: on Ctrl-C, or when a notebook's kernel is interrupted; the run itself goes on
        """
        session_id = self.session_id(session_id)
        return events.watch(self._reader, session_id, timeout_seconds=timeout_seconds, poll_seconds=poll_seconds)

    def events(self, session_id: str) -> Events:
        """Return the events of a run so far, in the order of their times.

        :raises RunNotFound: if there are none
        """
        session_id = self.session_id(session_id)
        found = Events(session_id, self._reader.events(session_id))
        if not found:
            raise RunNotFound(session_id)
        return found

    def outcome(self, session_id: str) -> Event | None:
        """Return the terminal event of a run, None while it has none."""
        return self._reader.outcome(self.session_id(session_id))

    def metadata(self, session_id: str) -> RunMetadata:
        """Return what a run was asked to do, and within which limits.

        :raises RunNotFound: if the run was never claimed
        """
        session_id = self.session_id(session_id)
        metadata = self._reader.metadata(session_id)
        if metadata is None:
            raise RunNotFound(session_id)
        return metadata

    def open_wait(self, session_id: str, wait: int | None = None) -> OpenWait:
        """Return what a run asks, and waits for the answer to.

        :param wait: the number of the wait that it has to be
        :raises RunClosed: if the run has its outcome
        :raises NotWaiting: if it asks nothing, or has no such wait
        :raises AnsweredBefore: if that is answered
        """
        return self._waits.find_one(self.session_id(session_id), wait)

    def execution(self, session_id: str) -> Execution:
        """Return the run's execution of the state machine, with what its history tells.

        :raises RunNotFound: if the run was never claimed
        :raises ExecutionDoesNotExist: if Step Functions has forgotten it, which it does after 90 days
        """
        return executions.read(self.clients.stepfunctions, self.metadata(session_id).execution_arn)

    def log_streams(self, session_id: str) -> LogStreams:
        """Return the execution environments that worked on a run, one log stream each.

        :raises RunNotFound: if the run was never claimed
        """
        session_id = self.session_id(session_id)
        return self._logs.streams(session_id, self._days(session_id))

    def log_events(self, session_id: str, level: str | None = None, text: str | None = None) -> LogLines:
        """Return the lines of all environments of a run, merged by time.

        :param level: only lines of that level (DEBUG, INFO, WARNING, ERROR, CRITICAL) and above
        :param text: only lines that contain it, in any case
        :raises ValueError: if there is no such level
        :raises RunNotFound: if the run was never claimed
        """
        session_id = self.session_id(session_id)
        return self._logs.lines(session_id, self._days(session_id), log_lines.accepts(level, text))

    def tracebacks(self, session_id: str) -> LogLines:
        """Return the lines of a run's environments that have a traceback of an error: why a step failed.

        :raises RunNotFound: if the run was never claimed
        """
        session_id = self.session_id(session_id)
        return self._logs.lines(
            session_id, self._days(session_id), lambda line: line.is_error and bool(line.stack_trace)
        )

    def artifacts(self, session_id: str) -> list[str]:
        """Return the keys of what the run's steps have produced so far."""
        prefix = artifact_prefix(self.session_id(session_id))
        return [*keys_below(self.clients.s3, self.outputs.artifact_bucket_name, prefix)]

    def artifact(self, session_id: str, step: str, item: int | None = None) -> Artifact:
        """Return what a step has produced, or one of its items.

        :param item: its place in the list, from 0; None for a step that runs once
        :raises ArtifactNotFound: if there is no such artifact
        """
        session_id = self.session_id(session_id)
        name = artifact_prefix(session_id) + (step if item is None else f"{step}/{item:04}")
        keys = self.artifacts(session_id)
        found = next((key for key in keys if key.rpartition(".")[0] == name), None)
        if found is None:
            raise ArtifactNotFound(name, keys)
        return self._read_artifact(found)

    def report(self, session_id: str) -> Artifact:
        """Return a completed run's report: text, which shows itself rendered in a notebook.

        :raises ReportMissing: if the run has not completed
        """
        session_id = self.session_id(session_id)
        outcome = self.outcome(session_id)
        key = (outcome.detail or {}).get("reportKey") if outcome else None
        if not key:
            self.metadata(session_id)
            raise ReportMissing(session_id, outcome.status if outcome else None)
        return self._read_artifact(key)

    def summary(self, session_id: str) -> RunSummary:
        """Return everything that is known of a run.

        :raises RunNotFound: if there is nothing
        """
        session_id = self.session_id(session_id)
        found = self.events(session_id)
        artifacts, report, artifacts_error = self._read_products(session_id)
        return RunSummary(
            events=found,
            metadata=self._reader.metadata(session_id),
            execution=self._execution_if_known(session_id),
            log_streams=[name.name for name in self._logs.names(session_id, self._days(session_id))],
            artifacts=artifacts,
            report=report,
            artifacts_error=artifacts_error,
        )

    def cost(self, session_id: str, *, model_id: str | None = None) -> Cost:
        """Return an estimate of what a run has cost so far, at list prices; see :mod:`runbook.costs`.

        :param model_id: the model it used; if left out, the one that the agent uses now
        :raises RunNotFound: if the run was never claimed
        """
        session_id = self.session_id(session_id)
        metadata = self.metadata(session_id)
        # Without logs and artifacts, of which the estimate takes nothing.
        run = RunSummary(self.events(session_id), metadata, self._execution_if_known(session_id), (), (), None)
        called = run.events.first(Status.AGENT_INVOCATION_STARTED)
        ended_at = run.outcome.created_at if run.outcome else utc_now()
        agent_seconds = (ended_at - called.created_at).total_seconds() if called else 0.0
        return costs.estimate(run, model_id or self.model_id(), metadata.bounds["maxAttempts"], agent_seconds)

    def model_id(self) -> str:
        """Return the model that the agent uses now."""
        found = self.clients.agentcore_control.get_agent_runtime(agentRuntimeId=self.outputs.agent_runtime_id)
        return found.get("environmentVariables", {}).get("MODEL_ID", "")

    def pull(
        self,
        session_id: str,
        to: Path | str | None = None,
        *,
        redact: Callable[[str], str] | None = None,
        progress: pulling.Progress = lambda _done, _all: None,
    ) -> pulling.Pulled:
        """Bring all that is known of a run into a folder, to be replayed; one that was interrupted goes on.

        :param to: the folder; `runs/<session id>` if left out
        :param redact: changes each text before it is written
        :param progress: is told how many of how many objects are there
        :raises FolderInUse: if the folder holds something else
        :raises PulledRunUnusable: if the run is there, and something in it has changed
        :raises RedactionFailed: if a text can't be changed
        """
        metadata = self.metadata(session_id)
        request, is_given = retrying.given_request(self.clients.stepfunctions, metadata)
        sources = pulling.Sources(
            self._reader,
            self._logs,
            self.clients.s3,
            self.outputs.artifact_bucket_name,
            self.outputs.name_prefix,
            self._days(metadata.session_id),
            request,
            is_given,
        )
        directory = Path(to) if to else Path("runs", metadata.session_id)
        return pulling.Pull(metadata, sources, directory, redact, progress).run()

    # -- many runs

    def runs(self, since: datetime, outcome: str | None = None, *, until: datetime | None = None) -> Runs:
        """Return the runs that began or ended within a span of time, by queries of the index by day.

        :param since: a time with a time zone; the journal keeps nothing that is older than the stack's
            `journalTtlDays`
        :param outcome: only runs of that status; `OPEN` for those without an outcome
        :param until: the end of the span, now if left out
        :raises ValueError: if a time has no time zone, or `until` is not after `since`
        """
        finder = RunFinder(self.clients.dynamodb, self.outputs.journal_table_name, self.outputs.journal_ttl_days)
        return finder.find(since, until, outcome)

    def stuck(self, since: datetime | None = None) -> StuckRuns:
        """Return the open runs that something is wrong with, each with an explanation.

        :param since: only runs that began since, two days ago if left out, and those that have waited for a person
        """
        now = utc_now()
        found = self.runs(since or now - STUCK_WINDOW, OPEN)
        return stuck.find(self._reader, self.clients.stepfunctions, found, now)

    def waiting(self) -> OpenWaits:
        """Return what runs ask people, however old the runs are, by queries of the index by day.

        Runs that are answered and don't seem to have gone on are woken again, which does no harm.
        """
        found, resting = self._waits.find(utc_now())
        return OpenWaits(found, [session_id for session_id in resting if self._wake_execution(session_id)])

    def console(self, since_hours: float = 24) -> "Console":
        """Return all runs of a while, and what runs ask, in one cell of a notebook, with buttons to act.

        :param since_hours: how far back the list goes; open runs are in it if they are at most two days old
        """
        from runbook.console import Console

        return Console(self, timedelta(hours=since_hours))

    # -- events that never became a run

    def dead_letters(self) -> DeadLetters:
        """Return the events that EventBridge could not deliver, and leave them in their queue."""
        return self._dead_letters.look()

    def redrive(self, letter: DeadLetter) -> str:
        """Start the run that an event should have started, and take the event out of the queue.

        :return: the session id, which is the event's id
        :raises InvalidRequest: if the message holds no event of this stack
        """
        return self._dead_letters.redrive(letter, self.clients.stepfunctions, self.outputs.state_machine_arn)

    def _days(self, session_id: str) -> list[date]:
        """The days on which a run's environments can have begun to write."""
        outcome = self._reader.outcome(session_id)
        ended_at = outcome.created_at if outcome else utc_now()
        began_at = self.metadata(session_id).created_at
        return list(days(min(began_at, ended_at) - CLOCK_SKEW, max(began_at, ended_at) + CLOCK_SKEW))

    def _wake_execution(self, session_id: str) -> bool:
        """Without it an execution that waits, for the end or for an answer, would look again only at its next turn."""
        waker = Waker(self.clients.dynamodb, self.clients.stepfunctions, self.outputs.journal_table_name)
        with suppress(ClientError, BotoCoreError):
            return waker.wake(session_id)
        return False

    def _retry_fields(
        self, session_id: str, again: bool, workflow: str | None, step: str | None = None
    ) -> dict[str, Any]:
        """What a request says besides when it starts from a run's finished steps.

        :param workflow: the new run's
        :param step: from which everything is done again
        """
        session_id = self.session_id(session_id, "retry_of")
        line = list(retrying.lineage(session_id, self._reader.metadata))
        retrying.check_one_workflow(line, workflow)
        thrown = list(retrying.thrown_away(line, step, lambda: retrying.local_workflow(workflow)))
        metadata = line[0][1]
        # What earlier runs of the line have begun stands in this one's request, but for steps that were finished.
        claimed = retrying.claimed_calls(self._reader.tool_claims(session_id), metadata.request if metadata else None)
        for earlier, steps in thrown[1:] if step else ():
            claims = [claim for claim in self._reader.tool_claims(earlier) if claim.step in steps]
            claimed = retrying.added(claimed, retrying.claimed_calls(claims, None))
        artifacts = ((found, retrying.without_steps(self.artifacts(found), steps)) for found, steps in thrown)
        fields = retrying.retry_fields(session_id, artifacts, claimed, step)
        if metadata is None and "takeFrom" not in fields:
            raise RunNotFound(session_id)
        if "claims" in fields and not again:
            raise ToolsMayRunAgain(session_id, fields["claims"])
        return fields

    def _say_other_definition(self, session_id: str, workflow: "Workflow", say: Callable[[str], None]) -> None:
        labels = (event.detail or {} for event in self._reader.events(session_id))
        had = next((found["workflowDigest"] for found in labels if "workflowDigest" in found), None)
        if had and had != workflow.digest:
            say(
                f"workflow {workflow.name} is {workflow.digest} in this code and was {had} in run {session_id}: what "
                "depends on the step is told by this code, and the new run takes what the stack has"
            )

    def _read_artifact(self, key: str) -> Artifact:
        content, _ = content_of(self.clients.s3, self.outputs.artifact_bucket_name, key)
        return Artifact(content.decode(), key)

    def _execution_if_known(self, session_id: str) -> Execution | None:
        try:
            return self.execution(session_id)
        except (RunNotFound, self.clients.stepfunctions.exceptions.ExecutionDoesNotExist):
            return None

    def _read_products(self, session_id: str) -> tuple[list[str], Artifact | None, str | None]:
        """Artifacts, report, and why the bucket can't be read: without it, the journal still tells of the run."""
        try:
            artifacts = self.artifacts(session_id)
            return artifacts, self._report_if_there(session_id), None
        except (ClientError, BotoCoreError) as error:
            return [], None, str(error)

    def _report_if_there(self, session_id: str) -> Artifact | None:
        try:
            return self.report(session_id)
        except (ReportMissing, RunNotFound, self.clients.s3.exceptions.NoSuchKey):
            return None
