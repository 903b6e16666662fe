"""Runs the unchanged Pulumi program without Pulumi's engine: in this process, under mocks.

Owns what the engine does around a program: reading the project's and the stack's configuration with defaults and types,
and collecting the stack's outputs. The mocks decide what happens to a registered resource: tests record it, the
embedded cloud creates it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import runpy
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import pulumi
import pulumi_aws as aws
import yaml
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime import set_all_config
from pulumi.runtime.settings import SETTINGS, get_root_resource, set_root_resource
from pulumi.runtime.stack import run_in_stack

PROJECT = Path(__file__).resolve().parents[2]
# Types of https://www.pulumi.com/docs/iac/concepts/projects/project-file/#config that this project uses.
_TYPES: dict[str, type] = {"string": str, "integer": int, "boolean": bool, "object": dict, "array": list}


def project_name(project: Path = PROJECT) -> str:
    """Return the project's name, which is also the namespace of its configuration keys."""
    return cast("str", _read_yaml(project / "Pulumi.yaml")["name"])


def stack_config(stack: str, overrides: Mapping[str, Any] | None = None, project: Path = PROJECT) -> dict[str, str]:
    """Return the configuration that the engine would pass to the program, `namespace:key` → text or JSON.

    :param overrides: values of this project's keys, without namespace, that override the stack's file
    :raises FileNotFoundError: if the stack has no file
    :raises ValueError: if a key lacks a value, or has a value of the wrong type
    """
    schema = _read_yaml(project / "Pulumi.yaml")
    namespace = cast("str", schema["name"])
    given = dict(_read_yaml(project / f"Pulumi.{stack}.yaml").get("config", {}))
    given |= {f"{namespace}:{key}": value for key, value in (overrides or {}).items()}
    for key, declared in schema["config"].items():
        if ":" in key:
            given.setdefault(key, declared["value"])
            continue
        full = f"{namespace}:{key}"
        given.setdefault(full, declared.get("default"))
        _check_type(full, given[full], declared["type"])
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}


def run_program(
    mocks: pulumi_mocks.Mocks,
    config: Mapping[str, str],
    stack: str,
    *,
    preview: bool = False,
    monitor: pulumi_mocks.MockMonitor | None = None,
    project: Path = PROJECT,
) -> dict[str, Any]:
    """Run the program once; the mocks answer each resource and call, from several threads.

    Whatever the program or the mocks raise is raised unchanged.

    :param preview: as in `pulumi preview`; an id of "" then leaves a resource's outputs unknown
    :param monitor: sees every registration before the mocks do
    :returns: the stack's outputs; `pulumi.output.Unknown` for those that a preview can't know
    """
    _import_provider()
    # Whatever the program raises is raised here; asyncio would also log it, which Pulumi's own executor suppresses too.
    asyncio_log = logging.getLogger("asyncio")
    level = asyncio_log.level
    asyncio_log.setLevel(logging.CRITICAL)
    loops: list[asyncio.AbstractEventLoop] = []
    try:
        return asyncio.run(_run(mocks, config, stack, preview, monitor, project, loops))
    finally:
        asyncio_log.setLevel(level)
        for loop in loops:
            loop.close()


def _import_provider() -> None:
    # These modules load lazily, and warn about their own deprecated names when they do.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        _ = aws.s3.Bucket, aws.lambda_.Function


async def _run(
    mocks: pulumi_mocks.Mocks,
    config: Mapping[str, str],
    stack: str,
    preview: bool,
    monitor: pulumi_mocks.MockMonitor | None,
    project: Path,
    loops: list[asyncio.AbstractEventLoop],
) -> dict[str, Any]:
    asyncio.get_running_loop().set_default_executor(_executor(loops))
    # The one setting shared between runs: after a failed run it holds outputs of a closed event loop.
    cast("Any", SETTINGS).outputs.clear()
    set_all_config(dict(config), [])
    pulumi_mocks.set_mocks(mocks, project=project_name(project), stack=stack, preview=preview, monitor=monitor)
    # set_mocks creates and finishes its own stack; run_in_stack must create the one that the program fills.
    set_root_resource(cast("Any", None))

    def program() -> None:
        # Not as __main__, which is the running process's own module.
        runpy.run_path(str(project / "__main__.py"), run_name="pulumi_program")

    await run_in_stack(program)
    stack_resource = cast("Any", get_root_resource())
    return {
        name: await pulumi.Output.from_input(value).future(with_unknowns=True)
        for name, value in stack_resource.outputs.items()
    }


def _executor(loops: list[asyncio.AbstractEventLoop]) -> ThreadPoolExecutor:
    """Threads for the mocks: Pulumi's mocks give a thread without an event loop one that is never closed."""

    def prepare() -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        loops.append(loop)

    return ThreadPoolExecutor(max_workers=8, thread_name_prefix="pulumi", initializer=prepare)


class _GivenTwiceError(ValueError):
    """A key stands twice in one mapping."""


class _OnceLoader(yaml.SafeLoader):
    """Refuses what YAML forbids and PyYAML takes: of a key that is given twice, it would keep the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key: object = self.construct_object(key_node, deep=True)
            if key in seen:
                raise _GivenTwiceError(f"gives {key} twice, again in line {key_node.start_mark.line + 1}.")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        return _parsed(path.read_text(encoding="utf-8"))
    except _GivenTwiceError as error:
        raise ValueError(f"{path.name} {error}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name} is not YAML: {' '.join(str(error).split())}.") from error


@lru_cache
def _parsed(text: str) -> dict[str, Any]:
    # Tests read a stack's few files hundreds of times. Nobody changes what comes out of here.
    return cast("dict[str, Any]", yaml.load(text, _OnceLoader) or {})  # noqa: S506 - a safe loader


def _check_type(key: str, value: object, wanted: str) -> None:
    if value is None:
        raise ValueError(f"{key} has neither a value nor a default.")
    # Like the engine: from the command line, every value is text.
    text = str(value).removeprefix("-")
    fits = isinstance(value, _TYPES[wanted]) and not (wanted == "integer" and isinstance(value, bool))
    fits |= (wanted == "integer" and isinstance(value, str) and text.isdecimal()) or (
        wanted == "boolean" and value in ("true", "false")
    )
    if not fits:
        raise ValueError(f"{key} is {value!r}; it must be of type {wanted}.")
