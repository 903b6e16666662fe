"""An embedded cloud whose agents say which modules they import after they were forked: after a restore, on AWS."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Generator
from contextlib import contextmanager

from local.cloud import AGENT_ENDPOINT
from tests.support.running_cloud import RunningCloud, running_cloud

# Prepended to the agent's own `main.py`. Which modules a clone has that it didn't have at first ends in its log.
WATCHED = """
import os, sys, threading, time

def _watch():
    known = set(sys.modules)
    def look():
        while True:
            new = set(sys.modules) - known
            known.update(new)
            for name in sorted(new):
                os.write(2, f"imported {name}\\n".encode())
            time.sleep(0.01)
    threading.Thread(target=look, daemon=True).start()

os.register_at_fork(after_in_child=_watch)
"""
SAID = "imported "


@contextmanager
def watched_cloud() -> Generator[RunningCloud]:
    """Start such a cloud, and stop it."""
    with running_cloud() as cloud:
        control, runtime_id = cloud.client("bedrock-agentcore-control"), cloud.output("agentRuntimeId")
        now = control.get_agent_runtime(agentRuntimeId=runtime_id)
        if now["platformVersion"] != "V2":
            raise RuntimeError(f"the runtime is on platform version {now['platformVersion']}, not V2")
        place = now["agentRuntimeArtifact"]["codeConfiguration"]["code"]["s3"]
        s3 = cloud.client("s3")
        code = s3.get_object(Bucket=place["bucket"], Key=place["prefix"])["Body"].read()
        place["prefix"] += ".watched"
        s3.put_object(Bucket=place["bucket"], Key=place["prefix"], Body=_watched(code))
        kept = ("agentRuntimeArtifact", "roleArn", "networkConfiguration")
        version = control.update_agent_runtime(agentRuntimeId=runtime_id, **{name: now[name] for name in kept})
        control.update_agent_runtime_endpoint(
            agentRuntimeId=runtime_id, endpointName=AGENT_ENDPOINT, agentRuntimeVersion=version["agentRuntimeVersion"]
        )
        yield cloud


def imported(cloud: RunningCloud, session_id: str) -> list[str]:
    """Return what the clones of a run that has ended have imported.

    :raises RuntimeError: if the log doesn't even say that the run began
    """
    lines = [line.message for line in cloud.runbook.log_events(session_id)]
    if not any("began in environment" in line for line in lines):
        raise RuntimeError(f"the log of run {session_id} is not there: {lines}")
    return sorted({line.removeprefix(SAID) for line in lines if line.startswith(SAID)})


def _watched(code: bytes) -> bytes:
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(code)) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, (WATCHED.encode() if name == "main.py" else b"") + old.read(name))
    return changed.getvalue()
