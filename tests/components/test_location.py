"""Names of stacks: what they become part of has limits."""

from __future__ import annotations

import pytest
from pulumi import RunError

from components.location import LONGEST_NAME, stack_prefix
from tests.support.pulumi_program import deploy

LONGEST_STACK = "a-stack-of-nineteen"


@pytest.mark.parametrize(
    "stack", ["My_Stack.v2", "2nd", "-dev", "Dev", "dev_x", "dev.x", LONGEST_STACK + "1", "x" * 58]
)
def test_a_stack_whose_name_cannot_be_part_of_every_name_is_refused(stack: str) -> None:
    with pytest.raises(RunError, match=f"name is '{stack}'.* at most 19 lowercase letters, digits and hyphens"):
        stack_prefix("fire-and-forget", stack)


@pytest.mark.parametrize("stack", ["d", "dev-2", LONGEST_STACK])
def test_other_names_are_taken(stack: str) -> None:
    assert stack_prefix("fire-and-forget", stack) == f"fire-and-forget-{stack}"


def test_the_longest_name_is_that_of_the_longest_role() -> None:
    every = deploy("dev", {"schedule": "rate(1 day)", "scheduledRequest": {"prompt": "x"}})
    assert max((role.name for role in every.all("Role")), key=len) == LONGEST_NAME
