"""docs/configuration.md, made from Pulumi.yaml and the stacks' files.

A test compares the two; `python -m tests.support.configuration_table` writes the file anew.
"""

from __future__ import annotations

import json
from typing import Any

import yaml

from local.deployment.program import PROJECT

PAGE = PROJECT / "docs" / "configuration.md"
STACKS = ("dev", "staging", "prod", "local")
_HEADER = """# Configuration

Every key of `Pulumi.yaml`, made from it by `python -m tests.support.configuration_table`. `pulumi config set KEY VALUE`
changes one for the selected stack; the last columns show what the stacks' own files override. `pulumi preview` refuses
invalid values and unknown keys, and says what is allowed (`components/settings.py`).

"""
_AWS = """
The stacks also set keys of Pulumi and its AWS provider: `aws:region`, `aws:defaultTags` (project and stack, on every
resource) and, in `Pulumi.yaml` for all stacks, `pulumi:autonaming`, which puts project and stack into the names that
AWS shows.
"""


def render() -> str:
    """The page."""
    schema, stacks = _config("Pulumi.yaml"), {stack: _config(f"Pulumi.{stack}.yaml") for stack in STACKS}
    rows = [["Key", "Type", "Default", "What it is", *STACKS]]
    for key in sorted(key for key in schema if ":" not in key):
        declared = schema[key]
        overrides = [stacks[stack].get(f"fire-and-forget:{key}") for stack in STACKS]
        rows.append(
            [
                f"`{key}`",
                declared["type"],
                _value(declared["default"]),
                declared["description"],
                *("" if value is None else _value(value) for value in overrides),
            ]
        )
    rows.insert(1, ["---"] * len(rows[0]))
    return _HEADER + "".join(f"| {' | '.join(row)} |\n" for row in rows) + _AWS


def _config(name: str) -> dict[str, Any]:
    return yaml.safe_load((PROJECT / name).read_text(encoding="utf-8"))["config"]


def _value(value: Any) -> str:
    if value == "":
        return "empty"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
