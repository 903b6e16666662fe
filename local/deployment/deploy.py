"""Deploys the Pulumi program, unchanged, into the emulator.

Owns the one call from emulator to stack outputs. `local.deployment.provider` knows the resources,
`local.deployment.program` how a program runs without the Pulumi CLI.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi

from local.deployment.auto_names import AutoNames
from local.deployment.program import PROJECT, project_name, run_program, stack_config
from local.deployment.provider import DeployError, EmulatorProvider
from local.emulator.process import Emulator

__all__ = ["DeployError", "deploy"]


def deploy(
    emulator: Emulator,
    *,
    stack: str = "local",
    config_overrides: Mapping[str, Any] | None = None,
    project: Path = PROJECT,
) -> dict[str, Any]:
    """Create everything that the program registers, and return the stack's outputs.

    :param stack: the stack whose configuration file is read.
    :param config_overrides: values that override the file's, by key without the project's name.
    :param project: the directory of Pulumi.yaml.
    :raises DeployError: if the configuration is invalid, the program fails, or a resource can't be created.
    :raises EmulatorError: if the emulator is not running.
    """
    emulator.check()
    try:
        config = stack_config(stack, config_overrides, project)
        names = AutoNames.of_stack(project_name(project), stack, config)
        _check_agent_code(f"{project_name(project)}:agentCode", config)
    except (OSError, ValueError) as error:
        raise _misconfigured(stack, error) from error
    provider = EmulatorProvider(emulator, names)
    try:
        return run_program(provider, config, stack, project=project)
    except pulumi.RunError as error:
        raise provider.failure or _misconfigured(stack, error) from error
    except Exception as error:
        emulator.check()
        # The first failure: what the program raises may be a consequence of it.
        raise provider.failure or DeployError(f"The Pulumi program failed: {type(error).__name__}: {error}") from error


def _check_agent_code(key: str, config: Mapping[str, str]) -> None:
    if config.get(key) == "bundle":
        raise ValueError(
            f"{key} is bundle; the embedded cloud allows source only, because a bundle holds packages for AWS's arm64."
        )


def _misconfigured(stack: str, error: Exception) -> DeployError:
    return DeployError(f"The stack {stack} has an invalid configuration: {error}")
