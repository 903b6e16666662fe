"""Deploys the Pulumi program, unchanged, into the emulator.

Owns one call from emulator to stack outputs. It neither knows resources (`local.provider`) nor how a program is run
without the Pulumi CLI (`local.program`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.emulator import Emulator
from local.program import PROJECT, run_program, stack_config
from local.provider import DeployError, EmulatorProvider

__all__ = ["DeployError", "deploy"]


def deploy(
    emulator: Emulator,
    *,
    stack: str = "local",
    config_overrides: Mapping[str, Any] | None = None,
    project: Path = PROJECT,
) -> dict[str, Any]:
    """Create everything that the program registers, and return the stack's outputs.

    :param stack: whose configuration file is read.
    :param config_overrides: values in place of that file's, by key without the project's name.
    :param project: the directory of Pulumi.yaml.
    :raises DeployError: if the configuration is wrong, the program fails, or a resource can't be created.
    """
    provider = EmulatorProvider(emulator)
    try:
        return run_program(provider, stack_config(stack, config_overrides, project), stack, project=project)
    except Exception as error:
        # The first cause: what comes out of the program may be a consequence of it.
        raise provider.failure or DeployError(f"The Pulumi program failed: {error}") from error
