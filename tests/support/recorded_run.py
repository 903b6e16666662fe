"""A run recorded with the agent's own code, and written into a folder as `runbook pull` writes it."""

import asyncio
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from strands.models.model import Model

from local.replay.record.memory import no_claims
from runbook import pulled
from runbook.pulled import Manifest, PulledWait, local_name
from runtime.agent.artifacts import Artifact, ArtifactStore
from runtime.agent.asking import Asked
from runtime.agent.attempt import Attempt, Ending
from runtime.agent.definition import Step, Workflow
from runtime.agent.model import run_step
from runtime.agent.run_clock import RunClock
from runtime.agent.step_journal import StepJournal, Stores
from runtime.agent.steps import WorkflowRun
from runtime.agent.threads import Threads
from runtime.agent.turns import TurnStore
from runtime.contract.job import Job
from runtime.contract.request import parse_request
from runtime.contract.segment import AnsweredQuestions, Segment
from runtime.journal.records import Event, RunMetadata
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.waits import Answer, AnsweredWait, Question, parsed_questions, serialized_answers
from runtime.journal.writer import JournalWriter
from tests.support.mortal_run import Bucket

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SESSION = "recorded-run-00000000000000000000000000"
ANN = "arn:aws:sts::000000000000:assumed-role/operator/ann"
NOTHING = cast("Any", None)
ModelFor = Callable[[str, int | None], Model]


class _Bucket(Bucket):
    """A bucket whose objects have metadata."""

    def __init__(self) -> None:
        super().__init__()
        self.metadata: dict[str, Mapping[str, str]] = {}

    def put_object(self, *, Key: str, Body: bytes, **others: Any) -> None:  # noqa: N803 - the client's names
        """Store an object unless it is there."""
        super().put_object(Key=Key, Body=Body)
        self.metadata[Key] = others.get("Metadata", {})

    def get_object(self, *, Key: str, **_: Any) -> dict[str, Any]:  # noqa: N803 - the client's names
        """Return an object."""
        return {"Body": io.BytesIO(self.objects[Key]), "Metadata": self.metadata[Key]}


class _Journal(JournalWriter):
    """A journal that keeps its events."""

    def __init__(self) -> None:
        super().__init__(NOTHING, "", ttl_days=1)
        self.kept: list[Event] = []

    def _commit(self, event: Event, guards: list[Any], others: Sequence[Event] = (), *_: Any) -> None:
        del guards
        self.kept += [event, *others]


def record(
    directory: Path,
    workflow: Workflow,
    model_for: ModelFor,
    *,
    prompt: str = "What is wrong with order 7?",
    redacted: bool = False,
    cancelled: Callable[[Event], bool] = lambda _: False,
    answered: Callable[[Question], Answer] | None = None,
) -> None:
    """Run a workflow once, and write what a pull of it would.

    :param model_for: gives the model of a step, or of an item of it
    :param cancelled: at which event a person cancels the run
    :param answered: what a person answers; without it the run may not wait
    """
    bucket, journal = _Bucket(), _Journal()
    client = cast("S3Client", bucket)
    stores = Stores(ArtifactStore(client, ""), TurnStore(client, ""), no_claims)
    request = {"prompt": prompt, "workflow": workflow.name}
    now, waits = utc_now(), list[PulledWait]()
    job = Job(SESSION, parse_request(request), attempt=1, segment=Segment(1, 1), now=now, seconds_left=600)

    async def run_recorded(step: Step, message: str, own: StepJournal) -> Artifact | Asked:
        _, name, item = own.place
        return await run_step(model_for(name, item), step, message, own)

    async def main(job: Job) -> Job | None:
        asyncio.get_running_loop().set_default_executor(Threads())
        attempt = Attempt(job, journal, clock=RunClock(now), environment_id="recorded", lease_seconds=60)
        steps = WorkflowRun(attempt, stores, workflow, run_recorded, parallel_steps=8, max_waits=10 if answered else 0)
        run = asyncio.create_task(steps.run())
        while not run.done() and not any(map(cancelled, journal.kept)):
            await asyncio.wait({run}, timeout=0.01)
        if run.done():
            if isinstance(ending := run.result(), Ending):
                return await attempt.close(ending)
            await attempt.wait_for_answer(ending)
            wait, questions = ending.wait, parsed_questions(bucket.objects[ending.wait.key])
            if any(map(cancelled, journal.kept)):
                waits.append(PulledWait.of(wait, questions, None))
                journal.kept.append(journal.stamp(SESSION, Status.SESSION_CANCELLED, error_type="Cancelled"))
                return None
            assert answered
            said = tuple(map(answered, questions))
            by = "" if all(answer.expired for answer in said) else ANN
            answer = AnsweredWait(session_id=SESSION, number=wait.number, created_at=now, by=by, answers=said)
            waits.append(PulledWait.of(wait, questions, answer))
            given = AnsweredQuestions(wait.number, wait.key, serialized_answers(said))
            segment = Segment(wait.number + 1, wait.number + 1, given)
            return replace(job, attempt=job.attempt + 1, segment=segment)
        run.cancel()
        await asyncio.wait({run})
        return await attempt.close(Ending(Status.SESSION_CANCELLED, "Cancelled", "enough of it"))

    next_job: Job | None = job
    while next_job:
        next_job = asyncio.run(main(next_job))
    _write(directory, workflow, request, bucket, journal.kept, waits, redacted=redacted)


def _write(
    directory: Path,
    workflow: Workflow,
    request: Mapping[str, Any],
    bucket: _Bucket,
    events: Sequence[Event],
    waits: Sequence[PulledWait],
    *,
    redacted: bool,
) -> None:
    at, expires_at = events[0].created_at, events[0].expires_at
    metadata = RunMetadata(
        session_id=SESSION,
        created_at=at,
        expires_at=expires_at,
        execution_arn="arn:aws:states:eu-central-1:000000000000:execution:agents:recorded",
        request=request,
        bounds={"maxRunSeconds": 600, "leaseSeconds": 60, "maxAttempts": 1},
        workflow=workflow.name,
    )
    artifacts = {local_name(key, SESSION): about for key, about in bucket.metadata.items() if "turns" not in key}
    texts = {
        pulled.METADATA: json.dumps(pulled.metadata_document(metadata, request)),
        pulled.OUTCOME: json.dumps(events[-1].attributes()),
        pulled.EVENTS: "".join(f"{json.dumps(event.attributes())}\n" for event in events),
        pulled.CLAIMS: "[]",
        pulled.ANSWERS: json.dumps([wait.as_document() for wait in waits]),
        pulled.LOGS: "",
        pulled.ARTIFACTS: json.dumps({name.removeprefix("artifacts/"): about for name, about in artifacts.items()}),
    }
    contents = {name: text.encode() for name, text in texts.items()}
    # What was asked belongs to the answers.
    contents |= {local_name(key, SESSION): each for key, each in bucket.objects.items() if "/wait-" not in key}
    for name, content in contents.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    write_manifest(directory, workflow, redacted=redacted)


def write_manifest(directory: Path, workflow: Workflow, *, redacted: bool = False) -> None:
    """Write the manifest of all that is in a folder."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name != pulled.MANIFEST)
    manifest = Manifest(
        sessionId=SESSION,
        pulledAt="2026-11-24T00:00:00.000Z",
        stack="dev",
        workflow=workflow.name,
        workflowDigest=workflow.digest,
        codeDigest=None,
        redacted=redacted,
        files={path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
    )
    (directory / pulled.MANIFEST).write_text(manifest.serialized(), encoding="utf-8")
