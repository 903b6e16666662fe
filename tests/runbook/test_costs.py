"""What a run costs, by arithmetic."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from runbook.costs import estimate, write_units
from runbook.events import Events
from runbook.executions import Execution
from runbook.pricing import token_price
from runbook.summary import RunSummary
from runtime.journal.vocabulary import Status
from tests.runbook.history import NOON, YES, event
from tests.runbook.test_lanes import answers, asks

ID = "0" * 36
SONNET = "anthropic.claude-sonnet-4-6"
EXECUTION = Execution("arn", "SUCCEEDED", NOON, NOON, polled_at=(NOON,) * 16, state_transitions=60, invoker_seconds=0.5)


def run_with_steps() -> RunSummary:
    """A run of 160 s whose steps took a million tokens each way."""
    tokens = {"inputTokens": 500_000, "outputTokens": 500_000}
    half = {"inputTokens": 250_000, "outputTokens": 250_000}
    events = [
        event(ID, Status.SESSION_INITIATED, NOON),
        event(ID, Status.AGENT_INVOCATION_STARTED, NOON, attempt=1),
        event(ID, "TASK_ANALYST_COMPLETED", NOON, step="analyst", attempt=1, detail={"tokens": tokens}),
        event(ID, "TASK_REPORTER_COMPLETED", NOON, step="reporter", item=0, attempt=1, detail={"tokens": half}),
        # The next attempt finds the first item, and says again what it cost.
        event(ID, "TASK_REPORTER_SKIPPED", NOON, step="reporter", item=0, attempt=2, detail={"tokens": half}),
        event(ID, "TASK_REPORTER_COMPLETED", NOON, step="reporter", item=1, attempt=2, detail={"tokens": half}),
        event(ID, Status.AGENT_BACKGROUND_TASK_COMPLETED, NOON + timedelta(seconds=160), detail={"tokens": tokens}),
    ]
    return RunSummary(Events(ID, events), None, EXECUTION, [], ["a.md", "b.md"], None)


def test_tokens_are_those_of_the_steps_at_the_model_s_price() -> None:
    cost = {item.item: item for item in estimate(run_with_steps(), SONNET, 3, 160)}
    assert (cost["model input"].quantity, cost["model input"].usd) == (1_000_000, 3.0)
    assert cost["model output"].usd == 15.0


def test_a_step_s_model_is_priced_with_all_its_items() -> None:
    steps = estimate(run_with_steps(), SONNET, 3, 160).steps
    assert [(step.step, step.items, step.usd) for step in steps] == [("analyst", None, 9.0), ("reporter", 2, 9.0)]
    assert [step["inputTokens"] for step in estimate(run_with_steps(), "", 3, 160).as_json()["steps"]] == [500_000] * 2
    assert {step.usd for step in estimate(run_with_steps(), "some.other-model", 3, 160).steps} == {None}


def test_a_step_with_a_model_of_its_own_is_priced_by_it() -> None:
    run = run_with_steps()
    turn = event(
        ID, "TASK_REPORTER_TURN", NOON, step="reporter", item=0, attempt=1, detail={"model": "some.other-model"}
    )
    cost = estimate(replace(run, events=Events(ID, [*run.events, turn])), SONNET, 3, 160)
    assert [(step.step, step.usd) for step in cost.steps] == [("analyst", 9.0), ("reporter", None)]
    items = {item.item: (item.quantity, item.usd) for item in cost}
    assert (items["model input"], items["model input, some.other-model"]) == ((500_000, 1.5), (500_000, None))


def test_the_sum_is_that_of_the_items() -> None:
    cost = estimate(run_with_steps(), SONNET, 3, 160)
    assert cost.usd == pytest.approx(sum(item.usd or 0 for item in cost))
    assert cost.as_json()["usd"] == cost.usd
    assert not cost.unpriced


def test_transitions_and_time_are_counted() -> None:
    cost = {item.item: item for item in estimate(run_with_steps(), SONNET, 3, 3600)}
    assert cost["state machine"].usd == pytest.approx(60 * 0.000025)
    assert cost["agent memory"].usd == pytest.approx(0.3 * 0.00945)
    assert cost["function"].quantity == 2


def test_a_model_without_a_price_leaves_a_hole_and_says_so() -> None:
    cost = estimate(run_with_steps(), "some.other-model", 3, 160)
    assert cost.unpriced == ["model input", "model output"]
    assert 0 < cost.usd < 0.1


@pytest.mark.parametrize(
    ("model_id", "price"),
    [
        (SONNET, (3.0, 15.0)),
        (f"us.{SONNET}", (3.3, 16.5)),
        (f"global.{SONNET}", (3.0, 15.0)),
        ("us.anthropic.claude-sonnet-5-5", (2.2, 11.0)),
        ("us.anthropic.claude-sonnet-4-20250514-v1:0", (3.0, 15.0)),
        ("", None),
    ],
)
def test_a_regional_profile_has_its_surcharge(model_id: str, price: tuple[float, float] | None) -> None:
    found = token_price(model_id)
    assert (found and (found["input"], found["output"])) == (price and pytest.approx(price))


def test_each_action_of_a_transaction_counts_twice() -> None:
    started = event(ID, Status.AGENT_INVOCATION_STARTED, NOON, attempt=1)
    succeeded = event(ID, Status.AGENT_INVOCATION_SUCCEEDED, NOON, attempt=1)
    step = event(ID, "TASK_ANALYST_STARTED", NOON, attempt=1, environment_id="e")
    ended = event(ID, Status.AGENT_BACKGROUND_TASK_COMPLETED, NOON, attempt=3, environment_id="e")
    assert [write_units([one], 3) for one in (started, succeeded, step, ended)] == [4, 1, 8, 5]


def test_a_run_that_asks_checks_one_record_more_and_counts_its_attempts_anew_after_each_answer() -> None:
    asked = asks(1, 1, 2)
    step = event(ID, "TASK_ANALYST_STARTED", NOON, attempt=3, environment_id="e")
    events = [asked, answers(2, 1, YES), step]
    # The wait may be followed by one attempt of its segment, the step by two of the next one.
    assert [write_units([asked], 3), write_units([asked, step], 3)] == [9, 9 + 10]
    assert write_units(events, 3) == 9 + 8 + 10


def test_while_a_run_waits_no_environment_is_paid_for() -> None:
    run = run_with_steps()
    waited = replace(run, events=Events(ID, [*run.events, asks(10, 1, 1), answers(70, 1, YES)]))
    took = [item for item in estimate(waited, SONNET, 3, 160) if item.item == "agent memory"]
    worked = [item for item in estimate(run, SONNET, 3, 100) if item.item == "agent memory"]
    assert took == worked


def test_the_prices_have_a_date() -> None:
    assert date.fromisoformat(estimate(run_with_steps(), SONNET, 3, 1).as_of) <= date(2100, 1, 1)
