"""A conversation survives its process: between any two acts it may die, and the next attempt goes on."""

import json
import random
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel
from strands.types.exceptions import ContextWindowOverflowException

from runtime.agent.artifacts import Usage
from runtime.agent.definition import Step
from runtime.agent.errors import BudgetExceeded, CannotResume, StepStopped, WrongResult
from runtime.agent.progress import progress
from runtime.agent.tool_call import tool_call
from tests.support.mortal_run import MortalRun
from tests.support.scripted_model import DeterministicModel, Turn, calls, says

PICTURE = b"\x89PNG a picture"


class World:
    """What tools do to it, and by which keys it knows their calls."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.keys: list[str] = []

    def step(self, **changes: Any) -> Step:
        """Return a step whose tools work on it."""

        def look_up(what: str) -> str:
            """Look something up."""
            self.keys.append(tool_call().idempotency_key)
            return f"{what} is 42"

        def picture() -> dict[str, Any]:
            """Take a picture."""
            return {"status": "success", "content": [{"image": {"format": "png", "source": {"bytes": PICTURE}}}]}

        async def send_mail(to: str) -> str:
            """Send a mail."""
            self.mails.append(to)
            return f"sent to {to}"

        step = Step("clerk", "analyst.md", (look_up, picture, send_mail, progress), once=("send_mail",))
        return replace(step, **changes)


LONG: list[Turn] = [
    calls("look_up", what="a"),
    calls("look_up", "look_up", what="b"),
    calls("picture"),
    calls("send_mail", to="ann"),
    calls("look_up", what="c"),
    calls("progress", text="half of it"),
    calls("send_mail", "look_up", to="bob", what="d"),
    calls("look_up", what="e"),
    calls("picture", "look_up", what="f"),
    says("all done"),
]


def said(run: MortalRun) -> list[Any]:
    """Return what was said, in Strands' form without what differs by process."""
    contents = [json.loads(run.turns[key]) for key in sorted(run.turns, key=line_order)]
    on_line, wanted = list[Any](), contents[-1]
    while wanted:
        on_line.insert(0, wanted)
        wanted = next((each for key, each in keyed(run) if key == wanted["parent"]), None)
    messages = [message for turn in on_line for message in turn["messages"]]
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def keyed(run: MortalRun) -> list[tuple[str, Any]]:
    return [(key, json.loads(content)) for key, content in run.bucket.objects.items() if "definition" not in key]


def line_order(key: str) -> tuple[str, str, int]:
    *_, attempt, name = key.split("/")
    return attempt, name[:4], "mitf".index(name[4])


def test_each_answer_and_each_result_is_stored_and_journalled_before_anything_comes_of_it() -> None:
    run = MortalRun(World().step(), DeterministicModel(calls("look_up", what="a"), says("done")))
    artifact = run.begin()
    assert artifact
    assert (artifact.text, artifact.usage) == ("done", Usage(20, 10))
    assert [*run.turns] == ["-/001/0001m.json", "-/001/0001t.json", "-/001/0002f.json"]
    assert run.events == [
        (
            "TURN",
            1,
            {
                "after": "model",
                "tools": [{"call": 0, "tool": "look_up", "input": '{"what": "a"}'}],
                "tokens": {"inputTokens": 10, "outputTokens": 5},
            },
        ),
        (
            "TURN",
            1,
            {"after": "tools", "tools": [{"call": 0, "tool": "look_up", "status": "success", "characters": 7}]},
        ),
        ("TURN", 2, {"after": "answer", "tokens": {"inputTokens": 20, "outputTokens": 10}}),
    ]


def undisturbed() -> tuple[MortalRun, World]:
    world = World()
    run = MortalRun(world.step(), DeterministicModel(*LONG))
    assert run.begin()
    return run, world


def until_done(run: MortalRun, deaths: list[int]) -> None:
    """Begin attempts that die, and one that doesn't."""
    for dies_at in deaths:
        run.dies_at = dies_at
        if run.begin():
            return
    run.dies_at = 0
    assert run.begin()


def check_nothing_was_lost(run: MortalRun, world: World, died: int) -> None:
    """Check a run against one that nothing happened to."""
    whole, _ = undisturbed()
    # A model turn that was stored is never asked for again: each death costs one at most.
    assert len(run.model.asked) <= len(LONG) + died
    assert all(world.mails.count(to) <= 1 for to in ("ann", "bob"))
    told = [detail for phase, _, detail in run.events if phase == "TOOL" and detail["claim"] == "unknown"]
    # What may have been sent and is not known to be was told to the model; all else was said as ever.
    if not told:
        assert world.mails == ["ann", "bob"]
        assert said(run) == said(whole)
    assert said(run)[0] == said(whole)[0]
    assert len(said(run)) == len(said(whole))


ACTS = len(undisturbed()[0].acts)


@pytest.mark.parametrize("act", range(1, ACTS + 1))
def test_a_death_before_any_act_loses_one_turn_at_most_and_sends_no_mail_twice(act: int) -> None:
    world = World()
    run = MortalRun(world.step(), DeterministicModel(*LONG))
    until_done(run, [act])
    check_nothing_was_lost(run, world, 1)


@pytest.mark.parametrize("seed", range(20))
def test_random_deaths_one_after_another_lose_nothing_that_was_stored(seed: int) -> None:
    chance = random.Random(seed)
    world = World()
    run = MortalRun(world.step(), DeterministicModel(*LONG))
    deaths = [chance.randint(1, 12) for _ in range(8)]
    until_done(run, deaths)
    check_nothing_was_lost(run, world, len(deaths))


def test_a_call_that_may_have_been_made_is_not_made_again_and_the_model_is_told() -> None:
    world = World()
    script = [calls("send_mail", to="ann"), calls("send_mail", to="ann"), says("unknown")]
    run = MortalRun(world.step(), DeterministicModel(*script))
    run.dies_at = next_act_after_claim(run)
    assert run.begin() is None
    run.dies_at = 0
    assert run.begin()
    assert world.mails == ["ann"]
    claims = [detail["claim"] for phase, _, detail in run.events if phase == "TOOL"]
    # The same again under another number is refused as well.
    assert claims == ["claimed", "unknown", "refused"]
    [first, second] = [message for message in said(run) if "toolResult" in message["content"][0]]
    assert "nobody knows whether it took effect" in str(first)
    assert "send_mail was called like this before" in str(second)


def next_act_after_claim(run: MortalRun) -> int:
    """Return the number of the act that comes after the first claim: the tool has run then."""
    twin = MortalRun(World().step(), DeterministicModel(*run.model.turns))
    twin.begin()
    return next(number for number, act in enumerate(twin.acts, 1) if act.startswith("claim")) + 1


def test_what_is_unknown_stays_unknown_in_later_attempts() -> None:
    world = World()
    script = [calls("send_mail", to="ann"), calls("look_up", what="a"), calls("send_mail", to="ann"), says("unknown")]
    run = MortalRun(world.step(), DeterministicModel(*script))
    run.dies_at = next_act_after_claim(run)
    run.begin()
    run.dies_at = 6
    assert run.begin() is None
    run.dies_at = 0
    assert run.begin()
    assert world.mails == ["ann"]
    assert [detail["claim"] for phase, _, detail in run.events if phase == "TOOL"][-1] == "refused"


def test_a_tool_may_run_again_where_its_earlier_call_is_known_to_have_ended() -> None:
    world = World()
    twice = (calls("send_mail", to="ann"), calls("send_mail", to="ann"), says("two mails"))
    assert MortalRun(world.step(), DeterministicModel(*twice)).begin()
    assert world.mails == ["ann", "ann"]


def test_a_call_has_the_same_key_in_each_attempt() -> None:
    world = World()
    run = MortalRun(world.step(), DeterministicModel(calls("look_up", "look_up", what="a"), says("done")), item=7)
    # As the results are stored.
    until_done(run, [4])
    assert len(world.keys) == 4
    assert set(world.keys) == {f"mortal-run-000000000000000000000000000/clerk/7/1/{call}" for call in (0, 1)}


def test_a_step_that_has_ended_ends_again_without_its_model() -> None:
    run = MortalRun(World().step(), DeterministicModel(*LONG))
    first, again = run.begin(), run.begin()
    assert first == again
    assert len(run.model.told) == len(LONG)


class Verdict(BaseModel):
    """A result."""

    right: bool


def test_a_result_that_was_stored_is_taken_from_there() -> None:
    run = MortalRun(World().step(result=Verdict), DeterministicModel(calls("Verdict", right=True)))
    first, again = run.begin(), run.begin()
    assert first == again
    assert first
    assert json.loads(first.text) == {"right": True}


def test_an_answer_in_words_where_a_result_is_asked_for_is_asked_for_again() -> None:
    run = MortalRun(World().step(result=Verdict), DeterministicModel(says("it is right"), calls("Verdict", right=True)))
    # As the answer in words is journalled.
    until_done(run, [3])
    assert run.model.asked == [1, 2]


def test_a_result_that_is_wrong_again_and_again_fails_its_step_whoever_asks() -> None:
    wrong = calls("Verdict", right="perhaps")
    run = MortalRun(World().step(result=Verdict), DeterministicModel(wrong, wrong, wrong, wrong))
    run.dies_at = 5
    assert run.begin() is None
    run.dies_at = 0
    with pytest.raises(WrongResult, match="right"):
        run.begin()
    assert len(run.model.told) == 2


def test_the_request_is_still_the_first_message_after_sixty_turns() -> None:
    run = MortalRun(World().step(), DeterministicModel(*[calls("look_up", what="a")] * 60, says("done")))
    until_done(run, [100])
    assert all(told[0]["content"] == [{"text": "Why?"}] for told in run.model.told)


def test_what_is_stored_grows_with_the_conversation_and_not_with_its_square() -> None:
    run = MortalRun(World().step(), DeterministicModel(*[calls("look_up", what="a" * 4096)] * 50, says("done")))
    run.begin()
    conversation = len(json.dumps(said(run)))
    assert sum(map(len, run.turns.values())) <= 1.2 * conversation


def test_a_conversation_that_was_shortened_is_stored_whole() -> None:
    script: list[Turn | Exception] = [*[calls("look_up", what="a" * 4096)] * 3, says("done")]
    model = Overflowing(*script)
    run = MortalRun(World().step(model="its.own"), model)
    run.begin()
    whole = json.loads(run.turns["-/001/0003m.json"])
    assert whole["parent"] is None
    assert "Why?" in str(whole["messages"][0])
    # The turn says which call failed before it, and its model.
    [said] = [detail for _, turn, detail in run.events if turn == 3 and detail["after"] == "model"]
    error = {"errorType": "ContextWindowOverflowException", "errorMessage": "too much"}
    assert (said["failed"], said["model"]) == ([error], "its.own")
    # Its line ends there.
    again = MortalRun(run.step, model, bucket=run.bucket, attempt=1)
    assert again.begin()


class Overflowing(DeterministicModel):
    """Can't take its third call at first."""

    overflown = False

    def next_turn(self) -> Turn | Exception:
        """Return the turn, or that it is too much."""
        if self.asked[-1] == 3 and not self.overflown:
            self.overflown = True
            return ContextWindowOverflowException("too much")
        return super().next_turn()


def test_bytes_come_back_as_they_were() -> None:
    run = MortalRun(World().step(), DeterministicModel(calls("picture"), calls("look_up", what="a"), says("done")))
    until_done(run, [7])
    [image] = [
        block["image"]["source"]["bytes"] for block in run.model.told[-1][2]["content"][0]["toolResult"]["content"]
    ]
    assert image == PICTURE


def test_a_changed_definition_goes_on_with_what_was_said_and_says_so() -> None:
    run = MortalRun(World().step(), DeterministicModel(calls("look_up", what="a"), calls("picture"), says("done")))
    run.dies_at = 4
    assert run.begin() is None
    # The stored answer asks for a tool that the new definition hasn't.
    run.step, run.dies_at = Step("clerk", "reporter.md", (World().step().tools[1],)), 0
    assert run.begin()
    [resumed] = [detail for phase, _, detail in run.events if phase == "RESUMED"]
    assert (resumed["turn"], resumed["fromAttempt"], resumed["definitionChanged"]) == (1, 1, True)
    assert run.model.system_prompts[-1] == run.step.system_prompt
    assert "Unknown tool: look_up" in str(run.model.told[1][-1])


def test_a_turn_that_cannot_be_read_begins_the_step_anew() -> None:
    run = MortalRun(World().step(), DeterministicModel(calls("look_up", what="a"), says("done")))
    run.dies_at = 6
    assert run.begin() is None
    run.bucket.objects = {key: content[:-9] for key, content in run.bucket.objects.items()}
    run.dies_at = 0
    assert run.begin()
    assert run.model.asked == [1, 2, 1, 2]


def test_but_not_after_a_call_that_must_not_happen_twice() -> None:
    world = World()
    run = MortalRun(world.step(), DeterministicModel(calls("send_mail", to="ann"), says("done")))
    run.dies_at = 6
    assert run.begin() is None
    run.bucket.objects = {key: content[:-9] for key, content in run.bucket.objects.items()}
    with pytest.raises(CannotResume, match=r'may not begin anew after send_mail\({"to": "ann"}\)'):
        run.begin()
    assert world.mails == ["ann"]


def test_what_a_zombie_stores_late_is_on_nobodys_line() -> None:
    run = MortalRun(World().step(), DeterministicModel(calls("look_up", what="a"), calls("picture"), says("done")))
    until_done(run, [6])
    prefix = next(iter(run.bucket.objects)).rpartition("/001/")[0]
    run.bucket.objects[f"{prefix}/001/0009m.json"] = b"a zombie's"
    assert run.begin()
    assert run.model.asked.count(1) == 1


def test_a_budget_counts_over_attempts_and_ends_the_run_before_the_next_call() -> None:
    script = [calls("look_up", what="a")] * 9
    run = MortalRun(World().step(), DeterministicModel(*script), max_tokens=45)
    run.dies_at = 5
    assert run.begin() is None
    run.dies_at = 0
    with pytest.raises(BudgetExceeded, match="may spend 45 tokens and has spent 45: clerk 45"):
        run.begin()
    assert len(run.model.told) == 3


def test_a_limit_of_turns_counts_over_attempts() -> None:
    run = MortalRun(World().step(), DeterministicModel(*[calls("look_up", what="a")] * 9), max_turns=3, dies_at=5)
    assert run.begin() is None
    run.dies_at = 0
    with pytest.raises(StepStopped, match="limit_turns"):
        run.begin()
    assert len(run.model.told) == 3


def test_an_agent_can_say_how_far_it_is() -> None:
    run = MortalRun(World().step(), DeterministicModel(calls("progress", text="half of it"), says("done")))
    run.begin()
    assert ("PROGRESS", 1, {"text": "half of it"}) in run.events


def test_what_the_step_was_is_stored_once_an_attempt() -> None:
    run = MortalRun(World().step(), DeterministicModel(says("done")))
    run.begin()
    [content] = [content for key, content in run.bucket.objects.items() if key.endswith("clerk/-/001/definition.json")]
    definition = json.loads(content)
    assert definition["message"] == "Why?"
    assert definition["prompt"] == run.step.system_prompt
    assert [spec["name"] for spec in definition["tools"]] == ["look_up", "picture", "send_mail", "progress"]
