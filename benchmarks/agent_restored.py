"""What an environment on platform version V2 still imports to work on a run, one run of each workflow."""

from __future__ import annotations

from benchmarks.progress import progress
from benchmarks.rows import Row
from runtime.agent.workflow import WORKFLOWS
from runtime.journal.vocabulary import Status
from tests.support.watched_clones import imported, watched_cloud


def rows() -> list[Row]:
    """Run each workflow in a fork of the prepared agent."""
    progress(f"agent, restored: a run of each of {', '.join(WORKFLOWS)}")
    found = set[str]()
    with watched_cloud() as cloud:
        for workflow in WORKFLOWS:
            session_id = cloud.runbook.trigger("What is slow?", workflow=workflow)
            ended = cloud.wait_for_end(session_id).status
            if ended != Status.AGENT_BACKGROUND_TASK_COMPLETED:
                raise RuntimeError(f"the run of {workflow} ended as {ended}")
            found |= set(imported(cloud, session_id))
    return [
        Row("agent, V2: modules imported after a restore", len(found), "", target=0, reason=", ".join(sorted(found)))
    ]
