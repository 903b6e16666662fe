"""The embedded cloud's rooms: which folder imports which, and in how many layers."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from graphlib import TopologicalSorter

import pytest

from local.deployment.program import PROJECT

LAYERS_MAX = 5
MODULES = {
    ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (PROJECT / "local").rglob("*.py")
    if path.parent.name != "agent_path"  # on an agent's path, and in no package
}
Graph = Mapping[str, set[str]]


def imports(module: str) -> set[str]:
    """The modules of local/ that a module imports, also inside functions or for types only."""
    found = set[str]()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (members & MODULES.keys()) or {str(node.module)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return (found & MODULES.keys()) - {module}


def room_of(module: str) -> str:
    """The folder that a module is in."""
    return module if MODULES[module].stem == "__init__" else module.rpartition(".")[0]


IMPORTS = {module: imports(module) for module in MODULES}


def between_rooms() -> Graph:
    """Each room, with the rooms that its modules import from."""
    rooms: dict[str, set[str]] = {room_of(module): set() for module in MODULES}
    for module, imported in IMPORTS.items():
        rooms[room_of(module)] |= {room_of(other) for other in imported} - {room_of(module)}
    return rooms


def within(room: str) -> Graph:
    """The modules of a room, with those of the same room that they import."""
    return {
        module: {other for other in imported if room_of(other) == room}
        for module, imported in IMPORTS.items()
        if room_of(module) == room
    }


def layers(graph: Graph) -> dict[str, int]:
    """In which layer each node is: 1, or one above the highest that it imports.

    :raises CycleError: if there is a circle.
    """
    found: dict[str, int] = {}
    for node in TopologicalSorter(graph).static_order():
        found[node] = 1 + max((found[below] for below in graph[node]), default=0)
    return found


def test_rooms_import_in_one_direction_in_five_layers_at_most() -> None:
    found = layers(between_rooms())
    assert max(found.values()) <= LAYERS_MAX, found
    assert max(found, key=found.__getitem__) == "local", "what starts and shows the cloud stands above all rooms"


@pytest.mark.parametrize("room", between_rooms())
def test_modules_of_a_room_import_in_one_direction_in_five_layers_at_most(room: str) -> None:
    found = layers(within(room))
    assert max(found.values()) <= LAYERS_MAX, found


def test_agentcore_and_the_emulator_meet_in_the_cloud_only() -> None:
    for module, imported in IMPORTS.items():
        for one, other in (("local.agentcore", "local.emulator"), ("local.emulator", "local.agentcore")):
            if module.startswith(one):
                assert not [name for name in imported if name.startswith((other, "local.deployment"))], module


def test_every_room_says_what_it_owns() -> None:
    silent = [room for room in between_rooms() if not ast.get_docstring(ast.parse(MODULES[room].read_text("utf-8")))]
    assert silent == []
