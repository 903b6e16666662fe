"""The scripted model speaks OpenAI's chat completions, as far as the emulator reads them."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.fake_model import COMPLETIONS_PATH, FakeModel


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with FakeModel() as model:
        yield model


def ask(model: FakeModel, text: str = "Why?", timeout: float = 5) -> httpx.Response:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]
    return httpx.post(f"{model.url}{COMPLETIONS_PATH}", json={"model": "any", "messages": messages}, timeout=timeout)


def test_queued_replies_are_given_in_order_and_then_none(model: FakeModel) -> None:
    model.queue_text("one", delay_seconds=0.01)
    model.queue_text("two", finish_reason="length")
    choices = [ask(model).json()["choices"][0] for _ in range(2)]
    assert [choice["message"] for choice in choices] == [
        {"role": "assistant", "content": "one"},
        {"role": "assistant", "content": "two"},
    ]
    assert [choice["finish_reason"] for choice in choices] == ["stop", "length"]
    assert ask(model).status_code == 503


def test_a_default_text_is_given_as_often_as_it_is_asked_for() -> None:
    with FakeModel(default_text="always", usage=(3, 4)) as model:
        answers = [ask(model).json() for _ in range(2)]
    assert [answer["choices"][0]["message"]["content"] for answer in answers] == ["always"] * 2
    assert answers[0]["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_a_tool_can_be_asked_for(model: FakeModel) -> None:
    model.queue_tool_call("look_up", {"key": "p99"})
    [call] = ask(model).json()["choices"][0]["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["function"] == {"name": "look_up", "arguments": '{"key": "p99"}'}


def test_an_error_and_a_call_without_an_answer_can_be_queued(model: FakeModel) -> None:
    model.queue_error(429, "slow down")
    model.queue_hang()
    assert ask(model).status_code == 429
    with pytest.raises(httpx.ReadTimeout):
        ask(model, timeout=0.1)


def test_what_the_model_was_told_comes_out(model: FakeModel) -> None:
    ask(model, "first")
    ask(model, "second")
    assert [conversation.last_message for conversation in model.conversations] == ["first", "second"]
    assert model.conversations[0].system_prompt == "Be brief."


def test_another_path_is_not_found_and_no_conversation(model: FakeModel) -> None:
    assert httpx.get(f"{model.url}/v1/models").status_code == 404
    assert model.conversations == []
