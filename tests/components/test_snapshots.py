"""Each stack is as it was reviewed: a changed property, option or order of any resource shows up here by its name."""

import pytest

from tests.support.stack_snapshot import PAGES, changes


@pytest.mark.parametrize("stack", sorted(page.stem for page in PAGES.glob("*.yaml")))
def test_a_stack_is_as_it_was_reviewed(stack: str) -> None:
    found = changes(stack)
    assert not found, "if this is meant, run python -m tests.support.stack_snapshot and review the diff"
