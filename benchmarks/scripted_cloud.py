"""An embedded cloud whose agent does what the prompt says: see `apps/scripted_model.py`.

Everything but that one module is real, and the agent gets it as a new version through AgentCore's control plane.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.agentcore.environments.settings import DataPlaneSettings
from local.cloud import AGENT_ENDPOINT
from tests.support.running_cloud import RunningCloud, running_cloud

SCRIPTED_MODEL = Path(__file__).with_name("apps") / "scripted_model.py"
REPLACED = "runtime/agent/model.py"
KEPT = ("roleArn", "networkConfiguration", "lifecycleConfiguration", "environmentVariables")


@contextmanager
def scripted_cloud(*, environments: int, spares: int = 1, **config: Any) -> Generator[RunningCloud]:
    """Start an embedded cloud with scripted agents, and stop it.

    :param environments: how many sessions may be active at once
    :param spares: how many environments are kept warm
    :param config: the stack's configuration
    """
    settings = DataPlaneSettings(max_environments=environments, warm_spares=spares)
    with running_cloud(config=config, data_plane=settings, lambda_concurrency=16) as cloud:
        _script(cloud)
        yield cloud


def _script(cloud: RunningCloud) -> None:
    control, s3, runtime_id = (
        cloud.client("bedrock-agentcore-control"),
        cloud.client("s3"),
        cloud.output("agentRuntimeId"),
    )
    now = control.get_agent_runtime(agentRuntimeId=runtime_id)
    artifact = now["agentRuntimeArtifact"]
    place = artifact["codeConfiguration"]["code"]["s3"]
    package = s3.get_object(Bucket=place["bucket"], Key=place["prefix"])["Body"].read()
    place["prefix"] = f"{place['prefix']}.scripted"
    place.pop("versionId", None)
    s3.put_object(Bucket=place["bucket"], Key=place["prefix"], Body=replaced(package))
    updated = control.update_agent_runtime(
        agentRuntimeId=runtime_id, agentRuntimeArtifact=artifact, **{name: now[name] for name in KEPT if name in now}
    )
    control.update_agent_runtime_endpoint(
        agentRuntimeId=runtime_id, endpointName=AGENT_ENDPOINT, agentRuntimeVersion=updated["agentRuntimeVersion"]
    )
    cloud.parts.data_plane.warm(cloud.output("agentRuntimeArn"), AGENT_ENDPOINT)


def replaced(package: bytes) -> bytes:
    """Return the agent's zip with the scripted model in place of the real one."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            new.writestr(entry, SCRIPTED_MODEL.read_bytes() if entry.filename == REPLACED else old.read(entry))
    return changed.getvalue()
