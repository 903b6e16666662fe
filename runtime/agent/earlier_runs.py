"""The tool of the workflow `follow_up`: what an earlier run wrote. Copy it for a tool of your own.

A tool is a plain function. Its name, types and docstring are all the model knows of it, so the docstring is in the form
that Strands parses. It runs in a thread and may block; the model is told what it raises, and goes on. It has the rights
of the agent's role (`components/agent_execution_role.py`): this one needs only what every step needs, to list and read
artifacts. Its client is made at the first call, so that it costs other runs nothing.
"""

import os
from functools import cache
from pathlib import PurePosixPath

from runtime.agent.artifacts import ArtifactStore, connect
from runtime.agent.errors import ArtifactMissing
from runtime.agent.settings import AgentSettings
from runtime.journal.keys import artifact_prefix

MAX_CHARACTERS = 40_000
"""Per artifact: what a tool returns is sent to the model again with every turn."""


def read_run(session_id: str) -> str:
    """Read what each step of an earlier run wrote, as Markdown with a heading for each step.

    Args:
        session_id: the run's id, 33 to 100 letters, digits, _ and -
    """
    store, prefix = _store(), artifact_prefix(session_id)
    keys = sorted(store.finished(session_id))
    if not keys:
        raise ArtifactMissing(prefix)
    headings = (PurePosixPath(key.removeprefix(prefix)).with_suffix("") for key in keys)
    texts = (store.read(key)[0][:MAX_CHARACTERS] for key in keys)
    return "\n\n".join(f"# {heading}\n\n{text}" for heading, text in zip(headings, texts, strict=True))


@cache
def _store() -> ArtifactStore:
    settings = AgentSettings.from_environ(os.environ)
    return ArtifactStore(connect(settings.region), settings.artifact_bucket)
