"""The AgentCore app: validates a job, starts its background task, and answers.

It writes nothing before it accepts a job, so an acknowledgement takes milliseconds. A refusal is an HTTP error, never a
200: the invoker journals what it is told.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

from bedrock_agentcore import BedrockAgentCoreApp
from bedrock_agentcore.runtime.context import RequestContext
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from runtime.agent import dependencies, telemetry
from runtime.agent.background import BackgroundTask
from runtime.agent.identity import environment_id
from runtime.agent.run_clock import RunClock, beginning
from runtime.agent.threads import in_thread
from runtime.agent.workflow import workflow_for
from runtime.contract.errors import InvalidRequest
from runtime.contract.job import Job, acknowledgement, parse_job
from runtime.contract.request import SESSION_ID
from runtime.journal.errors import JournalError
from runtime.journal.records import error_text
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status

# Together with the time `main.py` gives to requests, well within the 15 seconds that AgentCore takes to end a session.
SHUTDOWN_SECONDS = 1.5
FLUSH_SECONDS = 5.0
INVOCATIONS = "/invocations"
ACKNOWLEDGEMENT_SECONDS = 0.02
HESITATION_SECONDS = 2.0
"""How long a process that has worked on a session waits before it claims another attempt of it.

The state machine stops a session before it starts the next attempt. If that attempt still reaches the same process, the
process is about to end: on AWS, SIGTERM follows StopRuntimeSession within half a second.
"""
logger = logging.getLogger("bedrock_agentcore.app.entrypoint")


class RunningTasks:
    """The background tasks of this process.

    It holds the strong references: an asyncio task without one can be garbage-collected before it is done.
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], BackgroundTask | None] = {}
        self._attempts: dict[str, int] = {}
        self._clocks = WeakValueDictionary[tuple[str, int], RunClock]()

    def start(self, job: Job) -> RunClock:
        """Start a job's background task on the running event loop, and return the clock of its events.

        The same attempt again, after a lost acknowledgement, gets the clock of the task already at work.
        """
        attempt = job.session_id, job.attempt
        clock = self._clocks.get(attempt) or RunClock(beginning(utc_now(), job.now))
        self._clocks[attempt] = clock
        earlier = self._attempts.setdefault(job.session_id, job.attempt) < job.attempt
        task = asyncio.create_task(work(job, clock, HESITATION_SECONDS if earlier else ACKNOWLEDGEMENT_SECONDS))
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return clock

    def enter(self, background: BackgroundTask) -> None:
        """Record what the current asyncio task works on."""
        task = asyncio.current_task()
        if task in self._tasks:
            self._tasks[task] = background

    async def shut_down(self) -> None:
        """Cancel the tasks, except those that are closing their run, and wait briefly for all of them."""
        tasks = dict(self._tasks)
        if not tasks:
            return
        loop = next(iter(tasks)).get_loop()
        stopped = asyncio.run_coroutine_threadsafe(_stop(tasks), loop)
        await asyncio.wait({asyncio.wrap_future(stopped)}, timeout=SHUTDOWN_SECONDS)


async def _stop(tasks: dict[asyncio.Task[None], BackgroundTask | None]) -> None:
    for task, background in tasks.items():
        if background is None or not background.closing:
            task.cancel()
    await asyncio.wait(tasks, timeout=SHUTDOWN_SECONDS)


running = RunningTasks()


@asynccontextmanager
async def lifespan(_app: BedrockAgentCoreApp) -> AsyncGenerator[None]:
    """End the background tasks when the environment shuts down: on SIGTERM nothing else would."""
    dependencies.settings()  # a missing variable ends the process here, with its name
    yield
    await running.shut_down()
    # After the tasks, whose spans end with them.
    await telemetry.flush(FLUSH_SECONDS)


class AgentApp(BedrockAgentCoreApp):
    """The SDK's app, which notices its first invocation before anything else does: OpenTelemetry's middleware, too."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["path"] == INVOCATIONS:
            environment_id()
        await super().__call__(scope, receive, send)


app = AgentApp(lifespan=lifespan)


async def refuse_unreadable(_request: Request, error: Exception) -> JSONResponse:
    """Refuse JSON that Python can't parse: nested too deeply, or with a number of thousands of digits."""
    return JSONResponse({"error": f"the body can't be read: {error_text(error)}"}, status_code=400)


for unreadable in (RecursionError, ValueError):
    app.add_exception_handler(unreadable, refuse_unreadable)


@app.async_task
async def work(job: Job, clock: RunClock, wait_seconds: float) -> None:
    """Work on a job in the background; meanwhile /ping answers HealthyBusy.

    :param wait_seconds: before the job is claimed. Whatever runs before a task's first await would delay the
        acknowledgement, and whatever runs right after it would compete with the acknowledgement for the GIL.
    """
    try:
        await asyncio.sleep(wait_seconds)
        background = await dependencies.background_task(job, clock)
    except asyncio.CancelledError:
        await (await dependencies.background_task(job, clock)).give_back()
        raise
    running.enter(background)
    await background.run()


@app.entrypoint
async def invoke(payload: Any, context: RequestContext) -> Any:
    """Acknowledge a job, or refuse it with 400 and the reason.

    The answer has `now`, the time on the clock of the background task's events.

    :param payload: see :class:`runtime.contract.job.Job`
    """
    try:
        job = parse_job(payload, context.session_id)
        workflow_for(job.request)
    except InvalidRequest as refusal:
        # Before the answer: once the invoker knows, it closes the run, and nothing more can be added.
        await in_thread(journal_refusal, context.session_id, refusal)
        return JSONResponse({"error": str(refusal)}, status_code=400)
    clock = running.start(job)
    return acknowledgement(job, clock.now())


def journal_refusal(session_id: str | None, refusal: InvalidRequest) -> None:
    """Journal that the agent refused a request, if it came with a valid session id."""
    if not session_id or not SESSION_ID.fullmatch(session_id):
        return
    try:
        journal = dependencies.journal()
        event = journal.stamp(
            session_id,
            Status.AGENT_RUNTIME_INVOKE_FAILED,
            environment_id=environment_id(),
            error_type=type(refusal).__name__,
            error_message=error_text(refusal),
        )
        journal.append_while_open(event)
    except JournalError as error:
        logger.warning("could not journal the refusal: %s", error)
