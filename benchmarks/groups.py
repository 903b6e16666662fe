"""Which groups of rows there are, and how long each may take. Every group is a module with a function `rows`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType

from benchmarks.rows import Row

GROUPS: Mapping[str, float] = MappingProxyType(
    {
        "invoker_warm": 60,
        "invoker_cold": 120,
        "invoker_zip": 30,
        "agent_warm": 180,
        "agent_cold": 150,
        "agent_ping": 90,
        "agent_memory": 120,
        "journal_event": 60,
        "poll": 150,
        "completion": 300,
        "make_run": 180,
        "many_runs": 930,
        "scale_model": 60,
    }
)
"""Name → seconds that it may take."""


def rows_of(group: str) -> list[Row]:
    """Measure a group.

    :raises KeyError: if there is no such group
    """
    _ = GROUPS[group]
    return list(importlib.import_module(f"benchmarks.{group}").rows())
