"""Which groups of rows there are, of which parts, and how long each may take.

Every part is a module with a function `rows`, and has a process of its own.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from benchmarks.rows import Row

GROUPS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "invoker": {"invoker_warm": 60, "invoker_cold": 120, "invoker_zip": 30},
        "agent": {
            "agent_warm": 180,
            "agent_cold": 600,
            "agent_released": 600,
            "agent_ping": 90,
            "agent_memory": 120,
            "agent_steps": 180,
            "agent_turns": 180,
            "agent_restored": 120,
            "agent_zip": 600,
        },
        "journal": {"journal_event": 60, "poll": 150},
        "runs": {"completion": 300, "make_run": 180, "many_runs": 930},
        "capacity": {"capacity.model": 60},
    }
)
"""What the command line names → its parts, each with the seconds that it may take."""


PARTS = {part: seconds for parts in GROUPS.values() for part, seconds in parts.items()}


def parts_of(names: Iterable[str]) -> dict[str, float]:
    """Return the parts of groups, and those that are named themselves; all parts without any name.

    :raises KeyError: if there is no such group or part
    """
    found: dict[str, float] = {}
    for name in names or GROUPS:
        found |= GROUPS[name] if name in GROUPS else {name: PARTS[name]}
    return found


def rows_of(part: str) -> list[Row]:
    """Measure a part of a group.

    :raises KeyError: if there is no such part
    """
    _ = PARTS[part]
    return list(importlib.import_module(f"benchmarks.{part}").rows())
