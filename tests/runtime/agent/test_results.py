import json
import math
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from runtime.agent.artifacts import Artifact, Usage
from runtime.agent.definition import Step, StepInput
from runtime.agent.errors import WrongResult
from runtime.agent.results import (
    BEGUN_BEFORE,
    MAX_MESSAGE_CHARACTERS,
    StepResult,
    begun_before,
    message_for,
    parsed,
    serialized,
)
from runtime.contract.request import ClaimedCall


class Lead(BaseModel):
    """A result."""

    question: str
    weight: int = 1


async def work(_given: StepInput) -> Any:
    """Plain code."""


TEXT = Step("text", work=work)
LEAD = Step("lead", work=work, result=Lead)
LEADS = Step("leads", work=work, result=list[Lead])
LOOK = Step("look", work=work, each="leads")


def text_of(step: str, text: str, item: int | None = None) -> Artifact:
    """Return an artifact."""
    return Artifact(step, text, Usage(), item)


@pytest.mark.parametrize(
    ("step", "value"),
    [(TEXT, "as it is\n"), (LEAD, Lead(question="ä?")), (LEADS, [Lead(question="a", weight=2)]), (LEADS, [])],
)
def test_a_result_is_read_as_what_was_stored(step: Step, value: Any) -> None:
    assert parsed(step, text_of(step.name, serialized(step, value))) == value


@pytest.mark.parametrize(
    ("step", "value", "wrong"),
    [
        (TEXT, 7, "the result of step text is not what the workflow says: a int and no text"),
        (TEXT, None, "a NoneType and no text"),
        (LEAD, {"weight": "x"}, "question: Field required; weight: Input should be a valid integer"),
        (LEADS, [{"question": 7}], r"0.question: Input should be a valid string"),
        (LEADS, "leads", "all of it: Input should be a valid list"),
    ],
)
def test_a_wrong_result_fails_with_what_is_wrong(step: Step, value: Any, wrong: str) -> None:
    with pytest.raises(WrongResult, match=wrong):
        serialized(step, value)


class Odd(BaseModel):
    """What JSON holds in part only."""

    hidden: SecretStr | None = None
    share: float = 0.0
    thing: object = None
    left_out: int = Field(default=0, exclude=True)


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (Odd(hidden=SecretStr("secret")), "is read back as something else"),
        (Odd(share=math.nan), "it can't be read back: share"),
        (Odd(left_out=7), "is read back as something else"),
        (Odd(thing=object()), "JSON can't hold it: Unable to serialize unknown type"),
    ],
    ids=["a secret", "no number", "left out", "no data"],
)
def test_a_result_that_could_not_be_read_back_fails_the_step_that_gave_it(value: Odd, wrong: str) -> None:
    with pytest.raises(WrongResult, match=rf"^the result of step odd .*{wrong}") as refused:
        serialized(Step("odd", work=work, result=Odd), value)
    assert "secret" not in str(refused.value)


def test_a_result_has_the_names_that_its_readers_look_for() -> None:
    class Aliased(BaseModel):
        number: int = Field(alias="N")

    step = Step("aliased", work=work, result=Aliased)
    assert parsed(step, text_of("aliased", serialized(step, Aliased(N=3)))).number == 3


def test_an_artifact_of_another_version_of_the_step_is_refused() -> None:
    with pytest.raises(WrongResult, match="the result of step leads"):
        parsed(LEADS, text_of("leads", "Some leads."))


def test_the_result_of_a_step_that_runs_for_each_item_is_a_list() -> None:
    assert StepResult(LOOK, [text_of("look", "a", 0), text_of("look", "b", 1)]).value == ["a", "b"]
    assert StepResult(LOOK, []).value == []
    assert StepResult(TEXT, [text_of("text", "a")]).value == "a"


def test_a_step_is_told_the_request_first_then_what_others_wrote_and_last_its_own_part() -> None:
    earlier = [
        StepResult(TEXT, [text_of("text", "first")]),
        StepResult(LOOK, [text_of("look", "a", 0), text_of("look", "b", 1)]),
    ]
    assert message_for("Why?", earlier, {"question": "ä?"}, "2 of 7") == (
        "# Request\n\nWhy?\n\n# What the text wrote\n\nfirst\n\n# What the look wrote about part 1 of 2\n\na\n\n"
        '# What the look wrote about part 2 of 2\n\nb\n\n# Your part, 2 of 7\n\n{\n  "question": "ä?"\n}'
    )
    assert message_for("Why?", []) == "# Request\n\nWhy?"


def test_an_agent_is_told_what_an_earlier_run_has_begun_in_its_own_step_and_item() -> None:
    claims = [
        ClaimedCall("mailer", 1, "send_mail", '{"to": "a"}'),
        ClaimedCall("mailer", 2, "send_mail", '{"to": "b"}'),
        ClaimedCall("mailer", None, "pay", "57 calls"),
        ClaimedCall("other", None, "pay", "{}"),
    ]
    begun = begun_before(claims, "mailer", 2)
    parts = message_for("Why?", [], "c", "2 of 7", begun).split("\n\n")
    assert parts[2:5] == [
        "# What may have happened already",
        BEGUN_BEFORE,
        '- send_mail: {"to": "b"}\n- pay: 57 calls',
    ]
    assert begun_before(claims, "reporter", None) == []


def test_an_item_is_bounded_like_all_else_that_a_step_is_told() -> None:
    for item in ("x" * 5_000_000, ["x" * 5_000_000]):
        message = message_for("Why?", [], item, "2 of 7")
        assert len(message) < MAX_MESSAGE_CHARACTERS * 1.1
        assert "[Cut here: these are the first 400000 of" in message


def test_what_a_step_is_told_is_bounded_and_says_where_it_was_cut() -> None:
    large = "x" * 3_000_000
    earlier = [StepResult(LOOK, [text_of("look", large, number) for number in range(100)])]
    message = message_for("Why?", earlier)
    assert len(message) < MAX_MESSAGE_CHARACTERS * 1.1
    assert message.count("[Cut here: these are the first 4000 of 3000000 characters.]") == 100
    assert json.dumps(large) not in message
