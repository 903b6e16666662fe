from __future__ import annotations

import json
import re

import pytest

from local.deployment.auto_names import AutoNames


def config(**setting: object) -> dict[str, str]:
    return {"pulumi:autonaming": json.dumps(setting)}


def test_without_a_pattern_names_are_pulumis_default() -> None:
    assert re.fullmatch(r"journal-[0-9a-f]{7}", AutoNames.of_stack("faf", "dev", {}).name("a:b:C", "journal"))


def test_a_pattern_is_filled_in() -> None:
    names = AutoNames.of_stack("faf", "dev", config(pattern="${project}-${stack}-${name}-${hex(6)}"))
    assert re.fullmatch(r"faf-dev-journal-[0-9a-f]{6}", names.name("a:b:C", "journal"))


def test_two_types_with_one_name_are_told_apart() -> None:
    names = AutoNames("faf", "dev")
    assert names.name("a:b:C", "journal") != names.name("a:b:D", "journal")
    assert names.name("a:b:C", "journal") == names.name("a:b:C", "journal")


@pytest.mark.parametrize(
    ("setting", "named"),
    [({"mode": "verbatim"}, "mode"), ({"pattern": "${name}-${uuid}"}, r"\$\{uuid\}")],
)
def test_what_is_not_emulated_is_refused(setting: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=rf"pulumi:autonaming has {named}; only patterns of"):
        AutoNames.of_stack("faf", "dev", config(**setting))
