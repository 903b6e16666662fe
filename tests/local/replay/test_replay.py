"""A recorded run comes to the same end again, until the code does something else."""

import socket
import time

import pytest

from local.replay import replayed
from local.replay.record.errors import ReplayError
from runtime.agent.asking import ask
from runtime.agent.definition import Step, StepInput
from runtime.agent.earlier_runs import read_run
from runtime.journal.records import Event
from runtime.journal.vocabulary import Status
from runtime.journal.waits import Answer, Question
from tests.local.replay.conftest import Recorder
from tests.local.replay.order_desk import order_desk
from tests.support.recorded_run import write_manifest
from tests.support.scripted_model import ScriptedModel, calls, says, together


def test_a_run_that_failed_in_plain_code_fails_again_and_is_green_once_that_is_mended(recorder: Recorder) -> None:
    folder = recorder.desk(calls("look_up", order="7"), says("12 thirty"))
    began = time.monotonic()
    found = replayed(folder)
    assert time.monotonic() - began < 5
    assert (found.status, found.error_type) == ("AGENT_BACKGROUND_TASK_FAILED", "ValueError")
    assert found.same, found
    assert found.results == {"clerk": "12 thirty"}


def test_what_comes_of_mended_code_is_green_and_different_from_the_record(recorder: Recorder) -> None:
    folder = recorder.desk(calls("look_up", order="7"), says("12 thirty"))

    async def mended(given: StepInput) -> int:
        return sum(int(word) for word in given.results["clerk"].split() if word.isdecimal())

    recorder.know(order_desk(code=mended))
    found = replayed(folder)
    assert found.completed
    assert (found.results["total"], found.report) == (12, "12")
    assert not found.same
    assert [unit.same for unit in found.units] == [True, False]


def test_a_run_whose_model_gave_up_on_a_tools_error_ends_the_same(recorder: Recorder) -> None:
    folder = recorder.desk(calls("look_up", order="7"), says("I can't look it up."))
    found = replayed(folder)
    assert found.same, found
    assert [unit.recorded.turns for unit in found.units] == [2, 0]
    assert found.units[0].replayed.usage.total == 30


def test_a_mended_tool_that_is_really_called_shows_what_the_model_is_told_now(recorder: Recorder) -> None:
    folder = recorder.desk(calls("look_up", order="7"), says("I can't look it up."))

    def look_up(order: str) -> str:
        """Look an order up.

        Args:
            order: its number
        """
        return f"order {order}: 3 screws"

    recorder.know(order_desk(tools=(look_up, order_desk().steps[0].tools[1])))
    stopped = replayed(folder, tools=["look_up"])
    assert stopped.request_differs is not None
    assert (stopped.request_differs.part, stopped.request_differs.turn) == ("messages", 2)
    assert "warehouse does not answer" in stopped.request_differs.diff
    assert "3 screws" in stopped.request_differs.diff
    model = ScriptedModel(calls("look_up", order="7"), says("3"))
    green = replayed(folder, tools=["look_up"], live_from="clerk", model=lambda _: model)
    assert green.completed
    assert green.report == "3"


def test_a_run_that_asked_a_person_comes_to_the_same_end_without_one(recorder: Recorder) -> None:
    def answered(question: Question) -> Answer:
        return Answer(question.tool == "ask", "12 and 30")

    tools = (*order_desk().steps[0].tools, ask)
    folder = recorder.desk(
        together(("send_mail", {"to": "ann"}), ("ask", {"question": "How much?"})),
        says("12 30"),
        tools=tools,
        approve=("send_mail",),
        answered=answered,
    )
    found = replayed(folder)
    assert found.same, found
    assert found.report == "42"
    assert [unit.recorded.turns for unit in found.units] == [2, 0]
    # What a person has said is never asked again, and what was denied never done.
    assert replayed(folder, tools=["ask", "send_mail"], force=True).same


def test_a_tool_that_needs_a_person_is_really_called_only_where_one_has_approved_that_call(recorder: Recorder) -> None:
    mails: list[str] = []

    async def send_mail(to: str) -> str:
        """Send a mail.

        Args:
            to: the receiver
        """
        mails.append(to)
        return f"sent to {to}"

    def answered(question: Question) -> Answer:
        return Answer(question.call == 1, "not him" if question.call == 0 else "")

    desk = {"tools": (order_desk().steps[0].tools[0], send_mail), "approve": ("send_mail",), "once": ()}
    both = together(("send_mail", {"to": "bob"}), ("send_mail", {"to": "ann"}))
    folder = recorder.desk(both, calls("look_up", order="7"), says("1 2"), answered=answered, **desk)
    assert mails == ["ann"]
    assert replayed(folder).same
    assert mails == ["ann"]
    assert replayed(folder, tools=["send_mail"], force=True).same
    assert mails == ["ann", "ann"]
    model = ScriptedModel(together(("look_up", {"order": "7"}), ("send_mail", {"to": "eve"})), says("1 2"))
    live = replayed(folder, tools=["send_mail"], force=True, live_from="clerk", model=lambda _: model)
    assert live.error_type == "NotApproved"
    assert live.notes[-1] == 'step clerk calls send_mail({"to": "eve"}), which nobody has approved in the recorded run.'
    assert mails == ["ann", "ann"]


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_a_run_that_ended_where_it_asked_ends_there_again(recorder: Recorder, is_cancelled: bool) -> None:
    def answered(_: Question) -> Answer:
        raise AssertionError("it is cancelled before")

    def cancelled(event: Event) -> bool:
        return event.status == Status.RUN_WAITING

    asking = {"approve": ("send_mail",), "cancelled": cancelled, "answered": answered if is_cancelled else None}
    found = replayed(recorder.desk(calls("send_mail", to="ann"), **asking))
    ended = ("SESSION_CANCELLED", "Cancelled") if is_cancelled else ("AGENT_BACKGROUND_TASK_FAILED", "TooManyWaits")
    assert (found.status, found.error_type) == ended
    assert found.same, found


def test_no_tool_is_called_that_is_not_named(recorder: Recorder) -> None:
    mails: list[str] = []

    async def send_mail(to: str) -> str:
        """Send a mail.

        Args:
            to: the receiver
        """
        mails.append(to)
        return "sent"

    tools = (order_desk().steps[0].tools[0], send_mail)
    folder = recorder.desk(calls("send_mail", to="ann"), says("1 2"), tools=tools)
    assert mails == ["ann"]
    assert replayed(folder).same
    assert mails == ["ann"]
    with pytest.raises(ReplayError, match="send_mail, whose calls must not happen twice"):
        replayed(folder, tools=["send_mail"])
    assert mails == ["ann"]
    assert replayed(folder, tools=["send_mail"], force=True).same
    assert mails == ["ann", "ann"]


def test_a_replay_makes_no_connection(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = (*order_desk().steps[0].tools[:1], read_run)
    folder = recorder.desk(calls("read_run", session_id="0" * 36), says("1 2"), tools=tools, once=())
    connections: list[object] = []

    def connect(*address: object, **_: object) -> None:
        connections.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    assert replayed(folder).same
    assert connections == []


@pytest.mark.parametrize(
    ("name", "said"), [("events.jsonl", "has changed"), ("turns/clerk/-/001/0001m.json", "has changed")]
)
def test_a_folder_with_a_byte_changed_is_refused_by_name(recorder: Recorder, name: str, said: str) -> None:
    folder = recorder.desk(calls("look_up", order="7"), says("1 2"))
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ReplayError, match=f"{name}.*{said}"):
        replayed(folder)


def test_a_changed_prompt_stops_with_its_diff(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = recorder.desk(says("1 2"))
    monkeypatch.setattr(Step, "system_prompt", "You are a clerk.\nBe brief.\n")
    found = replayed(folder)
    assert not found.same
    assert found.request_differs is not None
    assert found.request_differs.part == "prompt"
    assert found.request_differs.diff.splitlines()[-2:] == ["+You are a clerk.", "+Be brief."]


def test_a_changed_tool_and_a_changed_result_stop_with_their_diffs(recorder: Recorder) -> None:
    folder = recorder.desk(says("1 2"))

    def look_up(order: int) -> str:
        """Look an order up."""
        return str(order)

    recorder.know(order_desk(tools=(look_up, order_desk().steps[0].tools[1])))
    found = replayed(folder)
    assert found.request_differs is not None
    assert found.request_differs.part == "tools"
    assert '+            "type": "integer"' in found.request_differs.diff
    recorder.know(order_desk(result=list[str]))
    found = replayed(folder)
    assert found.request_differs is not None
    assert found.request_differs.part == "form of the result"


def test_a_redacted_run_is_compared_by_its_structure(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = recorder.desk(calls("look_up", order="7"), says("1 2"), redacted=True)
    monkeypatch.setattr(Step, "system_prompt", "another text")
    assert replayed(folder).same
    for turn in folder.rglob("0001m.json"):
        turn.write_bytes(turn.read_bytes().replace(b'"name":"look_up"', b'"name":"send_mail"'))
    write_manifest(folder, order_desk(), redacted=True)
    found = replayed(folder)
    assert found.same, "the tool of an answer is the record's own"


def test_a_model_call_that_failed_fails_again(recorder: Recorder) -> None:
    folder = recorder.desk(calls("look_up", order="7"), RuntimeError("the model is gone"))
    found = replayed(folder)
    assert found.error_type == "EventLoopException"
    assert found.same, found


@pytest.mark.parametrize(
    ("stop", "error_type"), [("max_tokens", "MaxTokensReachedException"), ("content_filtered", "StepStopped")]
)
def test_a_model_that_stopped_before_it_was_done_stops_again(recorder: Recorder, stop: str, error_type: str) -> None:
    found = replayed(recorder.desk(says("1 2 and so", stop)))
    assert found.error_type == error_type
    assert found.same, found
