"""What docs/local.md says stands in for the parts of AWS that the embedded cloud doesn't enforce is there."""

from __future__ import annotations

import re

import pytest

from local.deployment.program import PROJECT

PAGE = (PROJECT / "docs" / "local.md").read_text(encoding="utf-8")
GAPS = [line for line in PAGE.partition("## What it does not enforce")[2].splitlines() if line.startswith("| ")][1:]


@pytest.mark.parametrize("gap", GAPS, ids=lambda line: line.split("|")[1].strip()[:40])
def test_each_gap_names_tests_that_exist(gap: str) -> None:
    path, named = "", list[str]()
    for file, test in re.findall(r"`(tests/[\w/]+\.py)`|\b(test_\w+)\b(?!\.py)", gap):
        path = file or path
        if test:
            named.append(test)
            assert f"def {test}(" in (PROJECT / path).read_text(encoding="utf-8"), f"{path} has no {test}"
    assert named


def test_each_file_that_it_names_exists() -> None:
    named = re.findall(r"`((?:local|runtime|tests)/[\w/.]*)`", PAGE)
    assert named
    assert [path for path in named if not (PROJECT / path).exists()] == []
