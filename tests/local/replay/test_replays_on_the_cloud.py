"""Runs of the embedded cloud, pulled, and replayed to the same end by a process that knows nothing of the cloud."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_model import FakeModel
from tests.support.running_cloud import RunningCloud

PROJECT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("workflow", "prompt", "said"),
    [
        ("follow_up", "What did run nine find?", "replayed  AGENT_BACKGROUND_TASK_COMPLETED"),
        ("verify", "hold one moment", "replayed  AGENT_BACKGROUND_TASK_FAILED  ValueError"),
    ],
)
def test_a_pulled_run_comes_to_the_same_end(
    cloud: RunningCloud, model: FakeModel, tmp_path: Path, workflow: str, prompt: str, said: str
) -> None:
    if workflow == "follow_up":
        # There is no such run: the tool answers with an error, and the model gives up.
        model.queue_tool_call("read_run", {"session_id": "9" * 36})
        model.queue_text("I can't read it.")
    session_id = cloud.runbook.trigger(prompt, workflow=workflow)
    cloud.wait_for_end(session_id)
    cloud.runbook.pull(session_id, tmp_path / "run")
    ran = subprocess.run(
        [sys.executable, "-m", "local", "replay", str(tmp_path / "run")],
        cwd=PROJECT,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert said in ran.stdout
    assert "The replay is the same." in ran.stdout
