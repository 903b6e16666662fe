"""The agent's wiring: what a process, one execution environment, shares between its background tasks.

It only saves time. Nothing may rely on it: requests of one session can meet in one process or land in several.
"""

import gc
import hashlib
import logging
import os
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.httpsession import URLLib3Session

from runtime.agent import garbage
from runtime.agent.artifacts import Artifact, ArtifactStore
from runtime.agent.artifacts import connect as connect_artifacts
from runtime.agent.asking import Asked
from runtime.agent.attempt import Attempt
from runtime.agent.background import BackgroundTask
from runtime.agent.definition import Step
from runtime.agent.identity import environment_id
from runtime.agent.run_clock import RunClock
from runtime.agent.settings import AgentSettings
from runtime.agent.step_journal import StepJournal, Stores
from runtime.agent.steps import WorkflowRun
from runtime.agent.threads import in_thread, replace_default_threads
from runtime.agent.turns import TurnStore
from runtime.agent.workflow import WORKFLOWS, workflow_for
from runtime.contract.job import Job
from runtime.journal.claims import tool_claims
from runtime.journal.client import CLIENT_CONFIG
from runtime.journal.client import connect as connect_journal
from runtime.journal.waker import Waker
from runtime.journal.writer import JournalWriter

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from strands.models.bedrock import BedrockModel

logger = logging.getLogger("bedrock_agentcore.app.dependencies")
RUNTIME = Path(__file__).parents[1]


@cache
def settings() -> AgentSettings:
    """Return this environment's settings."""
    return AgentSettings.from_environ(os.environ)


@cache
def dynamodb() -> "DynamoDBClient":
    """Return the client of all that reads and writes the table. The first call takes tens of milliseconds."""
    return connect_journal(settings().region)


@cache
def journal() -> JournalWriter:
    """Return the journal's writer."""
    return JournalWriter(dynamodb(), settings().journal_table, ttl_days=settings().journal_ttl_days)


@cache
def waker() -> Waker:
    """Return what wakes the state machine. The first call takes tens of milliseconds."""
    region = settings().region
    stepfunctions = boto3.client("stepfunctions", region_name=region, config=CLIENT_CONFIG)
    return Waker(dynamodb(), stepfunctions, settings().journal_table)


@cache
def stores() -> Stores:
    """Return where a run's work is kept. The first call takes tens of milliseconds."""
    client, bucket = connect_artifacts(settings().region), settings().artifact_bucket
    # Loads what the first listing would: botocore then looks into the folders of all services.
    client.can_paginate("list_objects_v2")
    claims = partial(tool_claims, dynamodb(), settings().journal_table)
    return Stores(ArtifactStore(client, bucket), TurnStore(client, bucket), claims)


@cache
def model(model_id: str) -> "BedrockModel":
    """Return a model. The first call imports Strands, which takes more than a second."""
    from runtime.agent.model import build_model

    built = build_model(model_id, settings().region)
    garbage.collect_as_usual()
    return built


@cache
def code_digest() -> str:
    """Return what changes when the runtime's own code or a prompt does: 12 characters."""
    files = sorted(path for path in RUNTIME.rglob("*") if path.suffix in {".py", ".md"})
    found = hashlib.sha256()
    for path in files:
        found.update(f"{path.relative_to(RUNTIME).as_posix()}\0".encode() + path.read_bytes())
    return found.hexdigest()[:12]


def warm_up() -> None:
    """Import and build now what else the first job would: for a process that is about to become a snapshot.

    Nothing stays connected: a socket does not survive a restore, and a call on a dead one would wait for its whole time
    limit. Credentials do survive; botocore asks for new ones by the wall clock, ten minutes or more before they expire.

    :raises KeyError: if a variable is missing; the message is its name
    :raises NoCredentialsError: if there are none, and so none in any environment: clients don't look again
    """
    for part in (journal, stores, code_digest, *([waker] if settings().wakes else [])):
        part()
    from runtime.agent.model import prepare

    own = (step.model for workflow in WORKFLOWS.values() for step in workflow.steps if step.model)
    for model_id in {settings().model_id, *own}:
        prepare(model(model_id))
    if boto3.DEFAULT_SESSION is None or boto3.DEFAULT_SESSION.get_credentials() is None:
        raise NoCredentialsError
    # Those of the clients, and those by which credentials were fetched.
    for found in gc.get_objects():
        if type(found) is URLLib3Session:
            found.close()


async def run_step(step: Step, message: str, journal: StepJournal) -> Artifact | Asked:
    """Run a Strands agent on a message; see :func:`runtime.agent.model.run_step`."""
    built = await in_thread(model, step.model or settings().model_id)
    from runtime.agent.model import run_step as run

    return await run(built, step, message, journal)


async def background_task(job: Job, clock: RunClock) -> BackgroundTask:
    """Return a job's background task, built in a thread so that the event loop stays free."""
    replace_default_threads()
    attempt = Attempt(
        job,
        await in_thread(journal),
        clock=clock,
        environment_id=environment_id(),
        lease_seconds=settings().lease_seconds,
    )
    workflow = workflow_for(job.request)
    run = WorkflowRun(
        attempt,
        await in_thread(stores),
        workflow,
        run_step,
        settings().parallel_steps,
        settings().max_tokens,
        max_waits=settings().max_waits,
        answer_seconds=settings().answer_seconds,
    )
    # A lost run may go on with newer code.
    labels = {"workflow": workflow.name, "workflowDigest": await in_thread(lambda: workflow.digest)}
    labels["codeDigest"] = await in_thread(code_digest)
    return BackgroundTask(attempt, run, labels, wake if settings().wakes else None)


async def wake(session_id: str) -> None:
    """Wake the state machine that waits for a run; a failure is logged and only delays it until its next poll."""
    try:
        await in_thread(lambda: waker().wake(session_id))
    except (ClientError, BotoCoreError) as error:
        logger.warning("could not wake the state machine: %s", error)
