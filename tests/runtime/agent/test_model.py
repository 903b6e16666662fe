"""One step by a real Strands agent; only the model behind it is scripted."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel, RootModel
from strands import tool
from strands.tools.structured_output.structured_output_tool import _TOOL_SPEC_CACHE
from strands.types.exceptions import MaxTokensReachedException, ModelThrottledException

from runtime.agent.artifacts import Artifact, Usage
from runtime.agent.errors import EmptyAnswer, StepStopped, WrongResult
from runtime.agent.model import build_model
from runtime.agent.progress import progress
from runtime.agent.workflow import Step
from tests.support.mortal_run import MortalRun
from tests.support.scripted_model import ScriptedModel, Turn, calls, says

T = TypeVar("T")


@tool
def look_up() -> str:
    """Look something up."""
    return "42 ms"


@tool
def fail() -> str:
    """Fail."""
    raise ValueError("no such metric")


def step_with(*tools: Any) -> Step:
    return Step("analyst", "analyst.md", tools)


def run(model: ScriptedModel, step: Step | None = None) -> Artifact:
    artifact = MortalRun(step or step_with(), model).begin()
    assert artifact
    return artifact


def test_a_steps_artifact_is_what_the_model_says_and_what_it_cost() -> None:
    assert run(ScriptedModel(says(" the answer\n"))) == Artifact("analyst", "the answer", Usage(10, 5))


def test_a_step_works_by_its_prompt_on_its_message_only() -> None:
    model = ScriptedModel(says("one"), says("two"))
    run(model)
    run(model)
    assert [len(messages) for messages in model.told] == [1, 1]
    assert model.told[0][0]["content"] == [{"text": "Why?"}]
    assert model.system_prompts[0] == step_with().system_prompt


def test_a_step_uses_its_tools_and_pays_for_every_turn() -> None:
    model = ScriptedModel(calls("look_up"), says("42 ms, then"))
    assert run(model, step_with(look_up)) == Artifact("analyst", "42 ms, then", Usage(20, 10))
    assert "42 ms" in str(model.told[1][-1])


def test_a_plain_function_is_a_tool_that_its_docstring_describes() -> None:
    def weigh(grams: int) -> str:
        """Weigh something."""
        return f"{grams} g"

    model = ScriptedModel(calls("weigh"), says("it can't be weighed, then"))
    run(model, step_with(weigh))
    # The model left the argument out, which its type has found.
    assert "grams" in str(model.told[1][-1])


def test_a_tool_that_fails_is_told_to_the_model() -> None:
    model = ScriptedModel(calls("fail"), says("no such metric, then"))
    assert run(model, step_with(fail)).text == "no such metric, then"
    assert "no such metric" in str(model.told[1][-1])


class OddError(BaseException):
    """What hardly anybody catches."""


def in_a_thread(error: BaseException) -> Any:
    @tool
    def odd() -> str:
        """Do odd things."""
        raise error

    return odd


def on_the_loop(error: BaseException) -> Any:
    @tool
    async def odd() -> str:
        """Do odd things."""
        await asyncio.sleep(0)
        raise error

    return odd


def half_way(error: BaseException) -> Any:
    @tool
    async def odd() -> AsyncIterator[str]:
        """Do odd things."""
        yield "so far so good"
        raise error

    return odd


@pytest.mark.parametrize("raising", [in_a_thread, on_the_loop, half_way])
@pytest.mark.parametrize(
    "error",
    [
        StopIteration("odd"),
        StopAsyncIteration("odd"),
        KeyboardInterrupt("odd"),
        SystemExit("odd"),
        GeneratorExit("odd"),
        asyncio.CancelledError("odd"),
        OddError("odd"),
        BaseExceptionGroup("odd", [KeyboardInterrupt()]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_tool_raises_is_told_to_the_model_and_the_others_results_with_it(
    error: BaseException, raising: Any
) -> None:
    model = ScriptedModel(calls("odd", "look_up"), says("without it, then"))
    assert run(model, step_with(raising(error), look_up)).text == "without it, then"
    odd, looked_up = [block["toolResult"] for block in model.told[1][-1]["content"]]
    assert (odd["status"], looked_up["status"]) == ("error", "success")
    assert type(error).__name__ in str(odd["content"])


def test_a_tool_that_is_cancelled_with_its_step_is_no_error_for_the_model() -> None:
    cancelled: list[str] = []

    @tool
    async def wait() -> str:
        """Wait."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("wait")
            raise
        return ""

    model = ScriptedModel(calls("wait", "progress", text="so far"))
    # It dies as the first tool would be journalled: the tool beside it is cancelled.
    run = MortalRun(step_with(wait, progress), model, dies_at=4)
    assert run.begin() is None
    assert cancelled == ["wait"]
    assert len(model.told) == 1


@pytest.mark.parametrize("stop_reason", ["guardrail_intervened", "content_filtered"])
def test_a_model_that_stops_for_another_reason_has_not_done_its_step(stop_reason: str) -> None:
    with pytest.raises(StepStopped, match=f"step analyst stopped with '{stop_reason}'") as stopped:
        run(ScriptedModel(says("half an ans", stop_reason)))
    assert (stopped.value.step, stopped.value.stop_reason) == ("analyst", stop_reason)


def test_a_model_that_runs_into_its_token_limit_has_not_done_its_step() -> None:
    with pytest.raises(MaxTokensReachedException):
        run(ScriptedModel(says("half an ans", "max_tokens")))


@pytest.mark.slow
def test_a_model_that_never_stops_calling_tools_is_stopped() -> None:
    with pytest.raises(StepStopped, match="limit"):
        run(ScriptedModel(*(calls("look_up") for _ in range(300))), step_with(look_up))


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_a_model_that_says_nothing_has_not_done_its_step(text: str) -> None:
    with pytest.raises(EmptyAnswer, match="step analyst finished without any text"):
        run(ScriptedModel(says(text)))


def test_an_error_of_the_model_is_the_steps() -> None:
    with pytest.raises(ConnectionError, match="reset"):
        run(ScriptedModel(ConnectionError("reset")))


def test_a_call_of_bedrock_that_gets_no_answer_fails_in_bounded_time() -> None:
    model = build_model("a-model", "eu-west-1")
    config: Any = model.client.meta.config
    assert model.client.meta.region_name == "eu-west-1"
    assert config.retries == {"mode": "standard", "total_max_attempts": 3}
    assert (config.connect_timeout, config.read_timeout) == (5, 120)


def test_throttling_is_an_error_that_strands_waits_for() -> None:
    assert issubclass(ModelThrottledException, Exception)


class Lead(BaseModel):
    """A result."""

    question: str


RIGHT, WRONG = {"question": "Why?"}, {"question": 7}


@pytest.mark.parametrize(
    ("result", "turn", "stored"),
    [
        (Lead, calls("Lead", **RIGHT), RIGHT),
        (list[Lead], calls("planner", items=[RIGHT, RIGHT]), [RIGHT, RIGHT]),
        (list[str], calls("planner", items=[]), []),
    ],
)
def test_a_steps_result_is_data_where_the_workflow_says_so(result: Any, turn: Turn, stored: Any) -> None:
    artifact = run(ScriptedModel(turn), Step("planner", "planner.md", result=result))
    assert json.loads(artifact.text) == stored
    assert artifact.usage == Usage(10, 5)


class Page(BaseModel, Generic[T]):
    """A generic result: its class has brackets in its name, which a tool's may not have."""

    entries: list[T]


class Names(RootModel[list[str]]):
    """A result that is a model and no object."""


@pytest.mark.parametrize(
    ("result", "stored"),
    [
        (list[Lead], [RIGHT]),
        (dict[str, Lead], {"a": RIGHT}),
        (Lead | None, RIGHT),
        (Page[Lead], {"entries": [RIGHT]}),
        (Names, ["a"]),
    ],
)
def test_a_model_is_told_the_whole_form_of_a_result_as_a_tool_of_bedrocks(result: Any, stored: Any) -> None:
    step = Step("planner", "planner.md", result=result)
    model = ScriptedModel(calls("planner", items=stored))
    assert json.loads(run(model, step).text) == stored
    [[spec]] = model.tools
    assert spec["name"] == "planner"
    told = json.dumps(spec["inputSchema"]["json"])
    assert "$" not in told
    assert ("question" in told) == ("Lead" in str(result))


def test_what_strands_keeps_of_a_result_is_kept_once() -> None:
    step = Step("planner", "planner.md", result=list[str])
    run(ScriptedModel(calls("planner", items=[])), step)
    kept = len(_TOOL_SPEC_CACHE)
    run(ScriptedModel(calls("planner", items=[])), step)
    assert len(_TOOL_SPEC_CACHE) == kept


def test_a_model_that_answers_in_words_is_asked_for_its_result_once_more() -> None:
    model = ScriptedModel(says("Here you are: why?"), calls("Lead", **RIGHT))
    assert json.loads(run(model, Step("planner", "planner.md", result=Lead)).text) == RIGHT


def test_a_wrong_result_may_be_put_right_once_and_fails_the_step_then() -> None:
    step = Step("planner", "planner.md", result=Lead)
    model = ScriptedModel(calls("Lead", **WRONG), calls("Lead", **RIGHT))
    assert json.loads(run(model, step).text) == RIGHT
    again_and_again = ScriptedModel(*[calls("Lead", **WRONG)] * 5)
    with pytest.raises(WrongResult, match="Field 'question': Input should be a valid string"):
        run(again_and_again, step)
    assert len(again_and_again.told) == 2
