"""The Python version of the agent and the invoker on AWS, from `pyproject.toml`."""

import tomllib
from pathlib import Path

_PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
DEPLOYED: str = tomllib.loads(_PYPROJECT.read_text(encoding="utf-8"))["tool"]["fire-and-forget"]["deployed-python"]
"""Major and minor version, such as 3.13."""
