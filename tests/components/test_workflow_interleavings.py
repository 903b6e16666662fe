"""The machine's loop against everything around it at its worst: its definition played, with the real invoker and the
real journal, in virtual time (see `tests/support/state_machine.py` for the interpreter)."""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support.faulty_dynamodb import client_error
from tests.support.journal_table import create_journal_table
from tests.support.played_run import HEALTHY, TABLE, Agent, Played, Reply, Story, check
from tests.support.state_machine import entered

SKEWS = st.sampled_from([0, 0, 0, 0.2, -0.2, 30, -30, 300, -300, 600, -600])
AGENTS = st.builds(
    Agent,
    does=st.sampled_from(
        [
            *HEALTHY,
            "ignores its deadline",
            "dies",
            "releases",
            "releases unclaimed",
            "refuses",
            "is throttled",
            "is silent",
        ]
    ),
    seconds=st.sampled_from([0.1, 3, 19, 45, 118]),
    skew=SKEWS,
    answers=st.sampled_from([True, True, True, False]),
    begins=st.sampled_from([0.02, 0.02, 8]),
)
STORIES = st.builds(
    Story,
    completion=st.sampled_from(["poll", "callback"]),
    agents=st.lists(AGENTS, min_size=1, max_size=6),
    invoker_skews=st.lists(SKEWS, min_size=1, max_size=6),
    cancel=st.none() | st.tuples(st.sampled_from([0.0, 0.05, 5, 21, 60, 121]), SKEWS),
    noise=st.lists(st.tuples(st.sampled_from([0, 1, 10, 60, 110]), SKEWS), max_size=12),
    conflicts=st.integers(0, 2**16),
)
WAITING_AGENTS = st.builds(
    Agent,
    does=st.sampled_from(["waits", "waits", "waits", "completes", "dies", "releases", "goes on"]),
    seconds=st.sampled_from([0.1, 3, 19, 45]),
    skew=SKEWS,
    answers=st.sampled_from([True, True, True, False]),
    begins=st.sampled_from([0.02, 8]),
    acknowledges=st.sampled_from([0, 0, 12]),
)
WAITING_STORIES = st.builds(
    Story,
    completion=st.sampled_from(["poll", "callback"]),
    agents=st.lists(WAITING_AGENTS, min_size=1, max_size=6),
    invoker_skews=st.lists(SKEWS, min_size=1, max_size=6),
    cancel=st.none() | st.tuples(st.sampled_from([0.05, 5, 60, 700, 1600]), SKEWS),
    noise=st.lists(st.tuples(st.sampled_from([0, 10, 60]), SKEWS), max_size=4),
    conflicts=st.integers(0, 2**16),
    replies=st.lists(
        st.builds(
            Reply,
            after=st.sampled_from([0, 0.5, 3, 650, 1499.9, 1500.1, None]),
            wakes=st.sampled_from([True, True, False]),
            skew=SKEWS,
        ),
        min_size=2,
        max_size=2,
    ).map(tuple),
)


CONFLICT = "TransactionConflict"


def test_a_claim_that_came_upon_another_writer_is_made_again(client: Any) -> None:
    execution = played_with(client, Agent("completes", 0.1), [CONFLICT, CONFLICT])
    assert execution["status"] == "SUCCEEDED"
    assert entered(execution)[:4] == ["ClaimSession", "WhyNotClaimed", "WaitToClaim", "ClaimSession"]


def test_a_close_that_came_upon_another_writer_is_made_again(client: Any) -> None:
    execution = played_with(client, Agent("refuses", 0), [None, CONFLICT, CONFLICT])
    assert execution["error"] == "AgentRefused"
    assert entered(execution).count("CloseSession") == 2


def played_with(client: Any, agent: Agent, refusals: Sequence[str | None]) -> dict[str, Any]:
    """Play a run in which the machine's first transactions are refused like that; None lets one through."""
    player, left = Played(Story("poll", [agent], [0]), client), iter(refusals)

    def refuse() -> None:
        if code := next(left, None):
            raise client_error(code, 400)

    create_journal_table(client, TABLE)
    try:
        with patch.object(player, "_conflict", refuse):
            return player.play()
    finally:
        client.delete_table(TableName=TABLE)


LONG = [pytest.mark.soak, pytest.mark.timeout(900)]
NAMED = {
    "a loss by a clock that is ahead": Story("poll", [Agent("dies", 19), Agent("completes", 3)], [600]),
    "a deadline by a clock that is ahead": Story("poll", [Agent("ignores its deadline", 0)], [600]),
    "a later attempt by a clock that is behind": Story(
        "poll", [Agent("dies", 45), *[Agent("completes", 45)] * 3], [600, 0, 0, 0], noise=[(1, 600)] * 12
    ),
    "the same attempt again, which begins late": Story(
        "poll", [Agent("releases unclaimed", 1), Agent("completes", 19, begins=14)], [0]
    ),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_story_that_once_went_wrong_ends_in_exactly_one_outcome(name: str, client: Any) -> None:
    check(NAMED[name], client)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stories", "examples"),
    [
        pytest.param(STORIES, 30, id="some"),
        pytest.param(WAITING_STORIES, 30, id="some that wait"),
        pytest.param(STORIES, 400, id="many", marks=LONG),
        pytest.param(WAITING_STORIES, 150, id="many that wait", marks=LONG),
    ],
)
def test_every_interleaving_ends_in_exactly_one_outcome(
    stories: st.SearchStrategy[Story], examples: int, client: Any
) -> None:
    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(story=stories)
    def play_one(story: Story) -> None:
        check(story, client)

    play_one()
