"""The agent's zip as AgentCore gets it, dependencies and bytecode included. The first time, it is built."""

from __future__ import annotations

import zipfile

from benchmarks.rows import Row
from components import agent_bundle

MIB = 1024 * 1024


def rows() -> list[Row]:
    """Measure what the component deploys."""
    path = agent_bundle.build("bundle").path
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    return [
        Row("agent zip", path.stat().st_size / MIB, "MiB", target=agent_bundle.MAX_ZIP_BYTES / MIB),
        Row("agent zip, unpacked", unpacked / MIB, "MiB", target=agent_bundle.MAX_UNPACKED_BYTES / MIB),
    ]
