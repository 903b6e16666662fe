"""What a stack registers, as a page that people review: `tests/components/snapshots/`, one file per stack.

Owns the pages' form and how they are compared. The page of dev has everything, the others what differs from it. Left
out is what has tests of its own: policies, the state machine's definition, the dashboard, what the zips hold.

Write the pages anew, then review the diff:

    python -m tests.support.stack_snapshot
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pulumi
import yaml

from tests.support.pulumi_program import Deployment, Registration, deployed

PAGES = Path(__file__).parents[1] / "components" / "snapshots"
BASE = "dev"
TESTED_ELSEWHERE = {"policy", "assumeRolePolicy", "policyDocument", "definition", "dashboardBody", "code", "source"}
JSON_TEXTS = {"eventPattern", "target.input"}
# What the content of a zip is called after, and the suffix that is drawn for a runtime's name.
MADE_UP = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{16})\b|(?<=_)[0-9a-f]{6}(?=\b|-)")

Page = dict[str, dict[str, Any]]


def page_of(stack: Deployment) -> Page:
    """Resource → property → value; the properties of objects within are separated by dots."""
    names = {found.urn: found.name for found in stack.resources}
    page = {
        f"{found.name} ({found.type.rpartition(':')[2]})": dict(_properties(found, names))
        for found in sorted(stack.resources, key=lambda found: found.name)
        if found.type.startswith("aws:")
    }
    # Names that differ from stack to stack are no difference; that they do is a test of its own.
    own = re.compile(rf"(?<=fire.and.forget[-_.]){stack.name}\b|(?<=fire_and_forget_){stack.name}(?=_)")
    return json.loads(MADE_UP.sub("…", own.sub("{stack}", json.dumps(page))))


def _properties(found: Registration, names: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for key, value in sorted(found.inputs.items()):
        if key not in TESTED_ELSEWHERE:
            yield from _flat(key, value)
    yield from ((f"({option})", value) for option, value in sorted(found.options.items()) if value)
    if after := sorted(names[urn] for urn in found.waits_for):
        yield "(after)", after


def _flat(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, pulumi.Asset | pulumi.Archive):
        return
    if key in JSON_TEXTS:
        value = json.loads(value)
    if isinstance(value, dict):
        for inner, each in sorted(cast("dict[str, Any]", value).items()):
            yield from _flat(f"{key}.{inner}", each)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for place, each in enumerate(cast("list[Any]", value)):
            yield from _flat(f"{key}[{place}]", each)
    else:
        # Numbers cross the engine as floating point.
        yield key, int(value) if isinstance(value, float) and value.is_integer() else value


def differences(ours: Page, base: Page) -> Page:
    """What `ours` has otherwise than `base`; `None` for what it hasn't."""
    found: Page = {}
    for name in sorted({*ours, *base}):
        if name not in ours:
            found[name] = {"(absent)": True}
        elif other := _differing(ours[name], base.get(name, {})):
            found[name] = other
    return found


def _differing(ours: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    return {key: ours.get(key) for key in sorted({*ours, *base}) if ours.get(key) != base.get(key)}


def expected(stack: str) -> Page:
    """A stack's page as it was reviewed."""
    return yaml.safe_load((PAGES / f"{stack}.yaml").read_text(encoding="utf-8")) or {}


def actual(stack: str) -> Page:
    """A stack's page as the program makes it now."""
    page = page_of(deployed(stack))
    return page if stack == BASE else differences(page, page_of(deployed(BASE)))


def changes(stack: str) -> list[str]:
    """A sentence for each property that isn't as it was reviewed."""
    was, now = expected(stack), actual(stack)
    return [
        f"{name}: {key} is {value!r}, was {was.get(name, {}).get(key)!r}"
        for name, properties in differences(now, was).items()
        for key, value in properties.items()
    ]


def main() -> None:
    """Write all pages."""
    for page in PAGES.glob("*.yaml"):
        text = yaml.safe_dump(actual(page.stem), sort_keys=False, allow_unicode=True, width=1000)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
