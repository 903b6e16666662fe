"""A step's agent asks a person: what waits is stored, and goes on in another process, whatever dies in between."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel

from runtime.agent.artifacts import Usage
from runtime.agent.asking import ask
from runtime.agent.definition import Step
from runtime.agent.errors import BudgetExceeded, StepStopped
from runtime.journal.errors import JournalDenied
from runtime.journal.waits import Answer, Question, Wants
from tests.support.mortal_run import MortalRun
from tests.support.scripted_model import DeterministicModel, Turn, calls, says, together

YES = Answer(approved=True)
NO = Answer(approved=False, text="not to Ann")
EXPIRED = Answer(approved=False, expired=True)
PICTURE = b"\x89PNG a picture"


class Office:
    """What tools do to it."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.looks: list[str] = []

    def step(self, **changes: Any) -> Step:
        """Return a step whose tools work on it."""

        def look_up(what: str) -> str:
            """Look something up."""
            self.looks.append(what)
            return f"{what} is 42"

        def picture() -> dict[str, Any]:
            """Take a picture."""
            self.looks.append("picture")
            return {"status": "success", "content": [{"image": {"format": "png", "source": {"bytes": PICTURE}}}]}

        async def send_mail(to: str) -> str:
            """Send a mail."""
            self.mails.append(to)
            return f"sent to {to}"

        async def note(text: str) -> str:
            """Write something down, once."""
            self.looks.append(text)
            return "noted"

        tools = (look_up, picture, send_mail, note, ask)
        return replace(Step("clerk", "analyst.md", tools, once=("note",), approve=("send_mail",)), **changes)


def run_of(office: Office, *script: Turn, **changes: Any) -> MortalRun:
    return MortalRun(office.step(**changes), DeterministicModel(*script))


def answer(run: MortalRun, *answers: Answer) -> None:
    """Answer what the last process has asked, as the next segment gets it."""
    assert run.asked
    run.answers = dict(zip(run.asked, answers, strict=True))


def results(run: MortalRun, told: int = -1) -> list[Any]:
    """Return what the model was told of its calls, newest last."""
    return [block["toolResult"] for block in run.model.told[told][-1]["content"]]


def text_of(result: Any) -> str:
    return str(result["content"][0]["text"])


MAIL = (calls("send_mail", to="ann"), says("done"))


def test_a_call_that_a_person_approves_is_made_once_and_after_that() -> None:
    office = Office()
    run = run_of(office, *MAIL)
    assert run.begin() is None
    assert run.asked == (Question("clerk", None, 1, 0, "send_mail", Wants.APPROVAL, '{"to": "ann"}'),)
    assert (office.mails, run.claims) == ([], {})
    assert run.events[-1] == (
        "TURN",
        1,
        {
            "after": "question",
            "tools": [{"call": 0, "tool": "send_mail", "wants": "approval", "input": '{"to": "ann"}'}],
        },
    )
    answer(run, YES)
    artifact = run.begin()
    assert artifact
    assert (artifact.text, artifact.usage) == ("done", Usage(20, 10))
    assert office.mails == ["ann"]
    assert [claim.tool for claim in run.claims.values()] == ["send_mail"]
    assert [*run.turns] == [f"-/{end}.json" for end in ("001/0001m", "001/0001i", "002/0001t", "002/0002f")]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (NO, "was not made: the person who was asked did not approve it. They said: not to Ann"),
        (EXPIRED, "was not made: nobody has approved it in time."),
    ],
)
def test_a_call_that_nobody_approves_is_not_made_and_the_model_is_told(said: Answer, told: str) -> None:
    office = Office()
    run = run_of(office, *MAIL)
    run.begin()
    answer(run, said)
    assert run.begin()
    assert (office.mails, run.claims) == ([], {})
    assert results(run)[0]["status"] == "error"
    assert text_of(results(run)[0]) == f"This call of send_mail {told}"


@pytest.mark.parametrize(
    ("said", "status", "told"),
    [
        (Answer(approved=True, text="in ten days"), "success", "in ten days"),
        (Answer(approved=False, text="ask Bob"), "error", "The person did not answer this. They said: ask Bob"),
        (EXPIRED, "error", "Nobody has answered this question in time."),
    ],
)
def test_a_question_gets_the_persons_text_or_that_there_is_none(said: Answer, status: str, told: str) -> None:
    run = run_of(Office(), calls("ask", question="When? \ud800é"), says("done"))
    assert run.begin() is None
    # As the question comes back from the bucket.
    assert run.asked == (Question("clerk", None, 1, 0, "ask", Wants.TEXT, "When? ?é"),)
    answer(run, said)
    assert run.begin()
    assert (results(run)[0]["status"], text_of(results(run)[0])) == (status, told)


BESIDE: list[Turn] = [
    calls("look_up", what="a"),
    together(("look_up", {"what": "b"}), ("send_mail", {"to": "ann"}), ("picture", {}), ("note", {"text": "c"})),
    says("done"),
]


def test_what_ended_beside_a_question_is_kept_and_not_made_again() -> None:
    office = Office()
    run = run_of(office, *BESIDE)
    run.begin()
    assert sorted(office.looks) == ["a", "b", "c", "picture"]
    answer(run, YES)
    assert run.begin()
    assert sorted(office.looks) == ["a", "b", "c", "picture"]
    assert office.mails == ["ann"]
    told = {each["toolUseId"]: each["content"][0] for each in results(run)}
    assert told["look_up-0"] == {"text": "b is 42"}
    assert told["picture-2"]["image"]["source"]["bytes"] == PICTURE
    assert [claim.tool for claim in run.claims.values()] == ["note", "send_mail"]
    assert len(run.model.told) == len(BESIDE)


def test_a_call_whose_result_was_kept_is_no_unknown_one() -> None:
    office = Office()
    run = run_of(office, *BESIDE[:2], calls("note", text="c"), says("done"))
    run.begin()
    answer(run, YES)
    assert run.begin()
    # So that it may be made like this again.
    assert office.looks.count("c") == 2


def stages(*script: Turn) -> list[list[str]]:
    """Return the acts of each segment of an undisturbed run."""
    run = run_of(Office(), *script)
    acts = list[list[str]]()
    while run.begin() is None:
        acts.append([*run.acts])
        answer(run, *[YES] * len(run.asked))
    return [*acts, [*run.acts]]


BEFORE, AFTER = stages(*BESIDE)


@pytest.mark.parametrize("act", range(1, len(BEFORE) + 1))
def test_a_death_at_any_act_before_the_wait_asks_once_more_and_makes_no_call_unasked(act: int) -> None:
    office = Office()
    run = run_of(office, *BESIDE)
    run.dies_at = act
    assert run.begin() is None
    run.dies_at = 0
    assert run.begin() is None
    assert [question.tool for question in run.asked] == ["send_mail"]
    assert office.mails == []
    answer(run, YES)
    assert run.begin()
    assert office.mails == ["ann"]
    assert office.looks.count("c") == 1
    # Each death costs one answer of the model at most.
    assert len(run.model.told) <= len(BESIDE) + 1


@pytest.mark.parametrize("act", range(1, len(AFTER) + 1))
@pytest.mark.parametrize("said", [YES, NO])
def test_a_death_at_any_act_after_the_answer_makes_the_call_once_or_tells_that_it_is_unknown(
    act: int, said: Answer
) -> None:
    office = Office()
    run = run_of(office, *BESIDE)
    run.begin()
    answer(run, said)
    run.dies_at = act
    assert run.begin() is None or act >= len(run.acts)
    run.dies_at = 0
    assert run.begin()
    unknown = [detail for phase, _, detail in run.events if phase == "TOOL" and detail["claim"] == "unknown"]
    sent = 1 if said.approved else 0
    assert office.mails.count("ann") == sent
    assert bool(unknown) <= bool(sent)
    assert sorted(office.looks) == ["a", "b", "c", "picture"]
    assert len(run.model.told) <= len(BESIDE) + 1


def test_a_call_that_was_claimed_after_its_approval_is_not_made_again() -> None:
    office = Office()
    run = run_of(office, *MAIL)
    run.begin()
    answer(run, YES)
    run.dies_at = 1 + next(number for number, act in enumerate(stages(*MAIL)[1], 1) if act.startswith("claim"))
    assert run.begin() is None
    assert office.mails == ["ann"]
    run.dies_at = 0
    assert run.begin()
    assert office.mails == ["ann"]
    assert "nobody knows whether it took effect" in text_of(results(run)[0])


def test_a_question_without_an_answer_waits_again_and_nothing_is_called() -> None:
    office = Office()
    run = run_of(office, *BESIDE)
    run.begin()
    first, looks = run.asked, [*office.looks]
    assert run.begin() is None
    assert (run.asked, office.looks, len(run.model.told)) == (first, looks, 2)
    # Nothing but the two turns of the conversation is read.
    assert run.acts == ["restored"]


def test_one_answer_of_the_model_asks_everything_at_once_and_what_is_left_is_asked_next() -> None:
    office = Office()
    names = [f"nr{number}" for number in range(21)]
    run = run_of(office, together(*(("send_mail", {"to": name}) for name in names)), says("done"))
    assert run.begin() is None
    asked = run.asked
    assert [question.call for question in asked] == [*range(21)]
    run.answers = dict.fromkeys(asked[:20], YES)
    assert run.begin() is None
    assert run.asked == asked[20:]
    assert sorted(office.mails) == sorted(names[:20])
    answer(run, NO)
    assert run.begin()
    assert sorted(office.mails) == sorted(names[:20])
    assert len(results(run)) == 21
    assert run.model.asked == [1, 2]


def test_a_later_attempt_that_is_past_the_question_ignores_the_answers() -> None:
    office = Office()
    run = run_of(office, calls("send_mail", to="ann"), calls("look_up", what="a"), says("done"))
    run.begin()
    answer(run, YES)
    run.dies_at = len(run.acts) + 2
    assert run.begin() is None
    assert "-/002/0001t.json" in run.turns
    run.dies_at = 0
    assert run.begin()
    assert office.mails == ["ann"]


def test_an_answer_holds_for_no_other_call_at_the_same_place() -> None:
    office = Office()
    run = run_of(office, *MAIL)
    run.begin()
    answer(run, YES)
    # What was stored can't be read, so the step begins anew, and its model asks for something else now.
    run.bucket.objects = {key: content[:-9] for key, content in run.bucket.objects.items()}
    run.model.turns[0] = calls("send_mail", to="bob")
    assert run.begin() is None
    assert [question.text for question in run.asked] == ['{"to": "bob"}']
    assert office.mails == []


CHANGES: dict[str, Callable[[Office], Step]] = {
    "another prompt": lambda office: office.step(prompt_file="reporter.md"),
    "nobody is asked any more": lambda office: office.step(approve=()),
    "the tool is gone": lambda office: office.step(approve=(), tools=(office.step().tools[3],)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("said", [YES, NO])
def test_an_answer_holds_although_the_definition_has_changed(change: str, said: Answer) -> None:
    office = Office()
    run = run_of(office, *MAIL)
    run.begin()
    answer(run, said)
    run.step = CHANGES[change](office)
    assert run.begin()
    gone = change == "the tool is gone"
    assert office.mails == (["ann"] if said.approved and not gone else [])
    if gone and said.approved:
        assert text_of(results(run)[0]) == "Unknown tool: send_mail"
    # Without its place in `approve` it is still a call that must not be made twice.
    assert len(run.claims) == (1 if said.approved else 0)


def test_a_question_that_was_asked_stays_one_although_the_definition_asks_no_more() -> None:
    office = Office()
    run = run_of(office, together(("send_mail", {"to": "ann"}), ("send_mail", {"to": "bob"})), says("done"))
    run.begin()
    run.answers = {run.asked[0]: YES}
    run.step = office.step(approve=())
    assert run.begin() is None
    assert (office.mails, [question.call for question in run.asked]) == (["ann"], [1])


def test_what_a_zombie_stores_late_asks_nothing() -> None:
    office = Office()
    run = run_of(office, *MAIL)
    run.begin()
    answer(run, YES)
    assert run.begin()
    [zombies] = [key for key in run.bucket.objects if key.endswith("001/0001i.json")]
    run.bucket.objects[zombies.replace("0001i", "0003i")] = run.bucket.objects[zombies]
    run.answers = {}
    assert run.begin()
    assert office.mails == ["ann"]


class Refused(MortalRun):
    """A run whose journal takes no claims."""

    async def act(self, what: str) -> None:
        """Do something, if it is no claim."""
        if what.startswith("claim"):
            raise JournalDenied(what)
        await super().act(what)


def test_what_ends_the_attempt_beside_a_question_is_not_told_to_a_person() -> None:
    run = Refused(Office().step(), DeterministicModel(*BESIDE))
    with pytest.raises(JournalDenied):
        run.begin()
    assert not any(key.endswith("i.json") for key in run.turns)


class Verdict(BaseModel):
    """A result."""

    right: bool


@pytest.mark.parametrize("dies_at", [0, 4])
def test_a_result_is_given_beside_a_question_and_counts_when_that_is_answered(dies_at: int) -> None:
    office = Office()
    script = together(("send_mail", {"to": "ann"}), ("Verdict", {"right": True}))
    run = run_of(office, script, result=Verdict)
    assert run.begin() is None
    assert [question.tool for question in run.asked] == ["send_mail"]
    answer(run, YES)
    run.dies_at = dies_at
    artifact = run.begin()
    run.dies_at = 0
    artifact = artifact or run.begin()
    assert artifact
    assert json.loads(artifact.text) == {"right": True}
    assert (office.mails, len(run.model.told)) == (["ann"], 1)


def test_a_call_like_one_whose_outcome_is_unknown_is_refused_before_a_person_is_asked() -> None:
    office = Office()
    run = run_of(office, calls("send_mail", to="ann"), calls("send_mail", to="ann"), says("unknown"))
    run.begin()
    answer(run, YES)
    run.dies_at = 1 + next(number for number, act in enumerate(stages(*MAIL)[1], 1) if act.startswith("claim"))
    assert run.begin() is None
    run.dies_at = 0
    assert run.begin()
    assert office.mails == ["ann"]
    assert [detail["claim"] for phase, _, detail in run.events if phase == "TOOL"] == ["claimed", "unknown", "refused"]


def test_an_interrupt_of_a_tools_own_ends_the_step() -> None:
    """Strands has such, and nobody here could answer it."""
    from strands import ToolContext, tool

    @tool(context=True)
    def gate(tool_context: ToolContext) -> str:
        """Ask in its own way."""
        return str(tool_context.interrupt("gate"))

    run = MortalRun(Step("clerk", "analyst.md", (gate,)), DeterministicModel(calls("gate"), says("done")))
    with pytest.raises(StepStopped, match="interrupt"):
        run.begin()


@pytest.mark.parametrize(("limit", "error"), [({"max_tokens": 5}, BudgetExceeded), ({"max_turns": 1}, StepStopped)])
def test_nobody_is_asked_for_what_the_model_could_not_be_told_any_more(
    limit: dict[str, Any], error: type[Exception]
) -> None:
    office = Office()
    run = MortalRun(office.step(), DeterministicModel(*MAIL), **limit)
    with pytest.raises(error):
        run.begin()
    assert (run.asked, office.mails) == ((), [])
