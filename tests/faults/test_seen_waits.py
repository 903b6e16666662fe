"""A run that asks a person twice, as the runbook sees it, pulls it, and replays it."""

from datetime import timedelta
from pathlib import Path

import pytest

from local.replay import replayed
from runbook.lanes import lanes
from runbook.runs import WAITING
from runbook.steps import Kind
from runtime.agent import workflow
from runtime.agent.asking import ask
from runtime.agent.progress import progress
from runtime.agent.workflow import Step, Workflow
from runtime.journal.timestamps import utc_now
from runtime.journal.waits import Answer
from tests.support.clerk_agent import look_up, picture, send_mail
from tests.support.clerk_office import office
from tests.support.faulty_cloud import FaultyCloud
from tests.support.person import APPROVED, DENIED, Person
from tests.support.waiting import wait_until


@pytest.mark.slow
def test_a_run_that_asks_is_seen_while_it_waits_and_replayed_with_what_was_answered(
    faulty: FaultyCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, runbook, hour = Person(faulty), faulty.cloud.runbook, timedelta(hours=1)
    with office(faulty, APPROVE="send_mail", ANSWER_SECONDS="600") as clerks:
        session_id = faulty.new_session_id()
        mail = "send_mail", {"to": session_id}
        faulty.model.play([("ask", {"question": "Which region?"}), mail], [mail], "Done.", to=session_id)
        clerks.serve(session_id)
        faulty.start(session_id)
        wait = person.asked(session_id)
        wait_until(lambda: runbook.runs(utc_now() - hour, WAITING).only([session_id]), "it is listed as waiting", 20)
        assert session_id not in [run.session_id for run in runbook.stuck()]
        (attempt,) = runbook.summary(session_id).attempts
        assert [(work.kind, work.asks[0]) for work in attempt.work] == [(Kind.WAITING, "Which region?")]
        person.answer(wait, Answer(approved=True, text="Frankfurt"), APPROVED)
        person.answer(person.asked(session_id, 2), DENIED)
        faulty.story(session_id)
        assert clerks.mails(session_id) == [session_id]
    run = runbook.summary(session_id)
    assert [each.kind for each in run.attempts] == [Kind.ASKED, Kind.ASKED, Kind.DONE]
    assert next(lane for lane in lanes(run) if lane.name == "person").spans[0].label == "ann"
    pulled = runbook.pull(session_id, tmp_path / "run").run
    assert [[answer for _, answer in each.said] for each in pulled.waits()] == [
        [Answer(approved=True, text="Frankfurt"), APPROVED],
        [DENIED],
    ]
    analyst, *others = workflow.WORKFLOWS["default"].steps
    tools = (look_up, picture, send_mail, progress, ask)
    clerk = Step(analyst.name, "analyst.md", tools, once=("send_mail",), approve=("send_mail",))
    monkeypatch.setitem(workflow.WORKFLOWS, "default", Workflow("default", (clerk, *others)))
    replay = replayed(tmp_path / "run")
    assert replay.same, replay
