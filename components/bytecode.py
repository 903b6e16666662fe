"""Compiles the agent's Python files for the version that AgentCore runs, so that no start there has to.

Each environment begins with what is in the zip: without this, every cold start compiles all that it imports. The hashes
are unchecked, as a zip's times mean nothing: https://docs.python.org/3/reference/import.html#cached-bytecode-invalidation
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pulumi

from components.python_version import DEPLOYED

FINDER = Path(__file__).resolve().parent.parent / ".ci" / "pythons"
SUFFIX = f".cpython-{DEPLOYED.replace('.', '')}.pyc"
COMPILE_SECONDS = 600
FIND_SECONDS = 120


def is_bytecode(name: str) -> bool:
    """Whether a file of that name holds what :func:`compile_tree` writes."""
    return name.endswith(SUFFIX) and "__pycache__/" in name


def compile_tree(folder: Path, python: str) -> None:
    """Compile all Python files below a folder, each into `__pycache__` beside it.

    What can't be compiled, such as a template, is left as it is. Tracebacks show paths from `folder`.

    :param python: an interpreter, see :func:`interpreter`
    """
    options = ["-q", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "-s", str(folder)]
    subprocess.run([python, "-m", "compileall", *options, str(folder)], check=False, timeout=COMPILE_SECONDS)


@cache
def interpreter() -> str | None:
    """Return an interpreter of the deployed version, which uv fetches where there is none; None if it can't."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" == DEPLOYED:
        return sys.executable
    if found := _find():
        return found
    fetched = [sys.executable, "-m", "uv", "python", "install", "--quiet", DEPLOYED]
    if _output(fetched) is not None and (found := _find()):
        return found
    pulumi.log.warn(
        f"No Python {DEPLOYED} was found, and uv could not fetch it: the agent's code has no bytecode, and each cold "
        f"start takes about two seconds longer. Install Python {DEPLOYED} and deploy again."
    )
    return None


def _find() -> str | None:
    return _output(["bash", str(FINDER), DEPLOYED])


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=FIND_SECONDS)
    except (subprocess.SubprocessError, OSError):
        return None
    return done.stdout.strip()
