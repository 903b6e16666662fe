"""The agent in the form that is deployed: the bundle, unpacked, on the Python that AgentCore runs, under OpenTelemetry.

Only the processor is another: dependencies are those for this machine. The first time, a package index is needed.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.agent_app import LOG_GROUP, LOG_STREAM, AgentApp, running_app
from components import agent_bundle, bytecode
from components.python_version import DEPLOYED
from tests.support.stack_snapshot import BASE, PAGES

NOWHERE = "http://127.0.0.1:9"
# What AgentCore adds for OpenTelemetry:
# https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/observability-configure.html
OBSERVED = {
    "AGENT_OBSERVABILITY_ENABLED": "true",
    "OTEL_PYTHON_DISTRO": "aws_distro",
    "OTEL_PYTHON_CONFIGURATOR": "aws_configurator",
    "OTEL_RESOURCE_ATTRIBUTES": "service.name=agent.live",
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS": f"x-aws-log-group={LOG_GROUP},x-aws-log-stream={LOG_STREAM},"
    "x-aws-metric-namespace=bedrock-agentcore",
    # What would go to AWS by HTTPS goes nowhere.
    "HTTPS_PROXY": NOWHERE,
}


@dataclass(frozen=True)
class DeployedCode:
    """An unpacked bundle.

    :ivar folder: where it is
    :ivar python: the interpreter that runs it
    :ivar launcher: what starts the entry point
    """

    folder: Path
    python: str
    launcher: str

    def agent(self, environ: Mapping[str, str], main: str = "main.py") -> AbstractContextManager[AgentApp]:
        """Start the agent with a stack's variables, and those given, on platform version V1; and end it."""
        command = [self.python, f"bin/{self.launcher}", main]
        variables = {**deployed_variables(), **OBSERVED, "PLATFORM_VERSION": "V1", **environ}
        return running_app(command, self.folder, variables)

    def plain(self, app: Path) -> AbstractContextManager[AgentApp]:
        """Start another app with the same dependencies, without OpenTelemetry; and end it."""
        self.add(app)
        return running_app([self.python, app.name], self.folder, {"PYTHONPATH": str(self.folder)})

    def add(self, app: Path) -> None:
        """Put a file beside the entry point."""
        shutil.copy(app, self.folder)


@contextmanager
def deployed_code() -> Generator[DeployedCode]:
    """Build and unpack the bundle, and remove it.

    :raises BundleError: if it can't be built
    :raises RuntimeError: if no Python of the deployed version is here, or something was compiled that has bytecode
    """
    code = agent_bundle.build("bundle", machine=None)
    python = bytecode.interpreter()
    if python is None:
        raise RuntimeError(f"no Python {DEPLOYED} is here, and uv could not fetch it")
    with tempfile.TemporaryDirectory(prefix="bench-bundle-") as folder:
        with zipfile.ZipFile(code.path) as archive:
            archive.extractall(folder)
        there = set(Path(folder).rglob("*.pyc"))
        # Of an environment such as .venv the interpreter alone: a package too many can cost a start a second.
        yield DeployedCode(Path(folder), str(Path(python).resolve()), code.entry_points[0])
        if compiled := sorted(path.name for path in set(Path(folder).rglob("*.pyc")) - there):
            raise RuntimeError(f"what was started compiled {', '.join(compiled)}")


def deployed_variables() -> dict[str, str]:
    """Return the variables that a stack gives its runtime, from the page by which it is reviewed."""
    page: dict[str, dict[str, Any]] = yaml.safe_load((PAGES / f"{BASE}.yaml").read_text(encoding="utf-8"))
    runtime = page["agent-runtime (AgentcoreAgentRuntime)"]
    prefix = "environmentVariables."
    return {name.removeprefix(prefix): value for name, value in runtime.items() if name.startswith(prefix)}
