"""The agent, cold, in the form that is deployed: from the start of its process to its first answers, and to the model.

The baseline is the echo app with the same dependencies, bytecode included, without OpenTelemetry, started in turns with
ours. The model is a server that only notes when it is asked; all else that the agent calls is an emulator.
"""

from __future__ import annotations

import queue
import time

from benchmarks.agent_app import ECHO, AgentApp, services
from benchmarks.deployed_code import DeployedCode, deployed_code
from benchmarks.progress import progress
from benchmarks.rows import Row, ratio_row
from benchmarks.samples import Samples
from tests.support.http_server import HttpServer, Received, Reply

COUNT = 30
ASKED_SECONDS = 30.0
BASELINE = "an echo BedrockAgentCoreApp with bytecode, without OpenTelemetry"
WHAT = "agent, cold, as deployed"
WHY = "what AWS's distribution of OpenTelemetry imports and makes; without it the ratio is 1"
REFUSED = Reply(403, b'{"message": "not this model"}', {"x-amzn-ErrorType": "AccessDeniedException"})


class AskedModel(HttpServer):
    """A Bedrock that refuses every call.

    :ivar asked: when it was, on the clock `time.perf_counter`
    """

    def __init__(self) -> None:
        self.asked = queue.SimpleQueue[float]()
        super().__init__(REFUSED)

    def answer(self, request: Received) -> Reply:
        """Note the moment, and refuse."""
        self.asked.put(time.perf_counter())
        return super().answer(request)


def rows(count: int = COUNT) -> list[Row]:
    """Start both apps again and again."""
    ours: list[tuple[float, float, float]] = []
    echo: list[tuple[float, float]] = []
    with deployed_code() as code, services() as service, AskedModel() as model:
        environ = {**service.environ, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": model.url}
        progress(f"{WHAT}: {count} starts of the agent and of the echo app, in turns")
        # The first ones read their files from the disk.
        _start(code, environ, model)
        _echo(code)
        for number in range(count):
            if number % 2:
                ours.append(_start(code, environ, model))
                echo.append(_echo(code))
            else:
                echo.append(_echo(code))
                ours.append(_start(code, environ, model))
    pinged, acknowledged, asked = (Samples.of(values) for values in zip(*ours, strict=True))
    echo_pinged, echoed = (Samples.of(values) for values in zip(*echo, strict=True))
    return [
        ratio_row(
            f"{WHAT}: entry point to first /ping", pinged, echo_pinged, target=1.3, baseline_is=BASELINE, reason=WHY
        ),
        ratio_row(
            f"{WHAT}: entry point to acknowledgement",
            acknowledged,
            echoed,
            target=1.4,
            baseline_is=BASELINE,
            reason=WHY,
        ),
        Row(
            f"{WHAT}, V1: acknowledgement to the model's first call",
            asked.median,
            "s",
            target=0.4,
            measured={"s": asked},
            reason="Strands' imports and botocore's clients; others at work on the same processors are in it",
        ),
    ]


def _start(code: DeployedCode, environ: dict[str, str], model: AskedModel) -> tuple[float, float, float]:
    """Return the seconds to the first /ping, to the first acknowledgement, and from there to the model."""
    with code.agent(environ) as app:
        acknowledged = _acknowledged(app)
        asked = model.asked.get(timeout=ASKED_SECONDS)
    while not model.asked.empty():
        model.asked.get()
    return app.seconds_to_ping, acknowledged, asked - app.began - acknowledged


def _echo(code: DeployedCode) -> tuple[float, float]:
    with code.plain(ECHO) as app:
        return app.seconds_to_ping, _acknowledged(app)


def _acknowledged(app: AgentApp) -> float:
    app.invoke()
    return time.perf_counter() - app.began
