"""Runs brought into a folder, from a mocked account."""

from __future__ import annotations

import io
import json
import sys
import threading
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from runbook.clients import Clients
from runbook.errors import PulledRunUnusable, RedactionFailed
from runbook.outputs import StackOutputs
from runbook.pulled import MANIFEST, PulledRun
from runbook.pulling import Pull, Sources
from runbook.redacting import load_hook, secrets_in
from runbook.runbook import Runbook
from runtime.agent.turns import TurnKind, definition_key, turn_key
from runtime.journal.keys import artifact_prefix, questions_key
from runtime.journal.records import RunMetadata
from runtime.journal.timestamps import to_timestamp, utc_now
from runtime.journal.vocabulary import Status
from runtime.journal.waits import Answer, serialized_questions
from tests.runbook.history import ANN, BOUNDS, MAIL, NOON, WHERE, YES, History, event
from tests.runbook.pulls import KEY, failed_run, said, turn


@pytest.fixture(autouse=True)
def known_executions(rb: Runbook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step Functions that has the request with all its digits."""
    given = {"request": {"prompt": "Ask jo@example.com", "number": 1234567890123456789}}
    monkeypatch.setattr(rb.clients.stepfunctions, "describe_execution", Mock(return_value={"input": json.dumps(given)}))


@pytest.fixture
def session_id(history: History, clients: Clients, outputs: StackOutputs) -> str:
    """A run that failed at its second attempt, and what a zombie of the first stored besides."""
    return failed_run(history, clients, outputs)


def test_a_pulled_run_is_read_as_it_was_and_only_the_line_that_won(
    rb: Runbook, session_id: str, tmp_path: Path
) -> None:
    progress = Mock()
    rb.pull(session_id, tmp_path / "run", progress=progress)
    assert len({*progress.call_args.args}) == 1, "it comes to its end"
    run = PulledRun.open(tmp_path / "run")
    manifest = run.manifest
    assert (manifest.workflow, manifest.workflowDigest, manifest.codeDigest) == ("default", "w" * 12, "c" * 12)
    assert run.metadata.request["number"] == 1234567890123456789
    assert run.outcome == rb.outcome(session_id) is not None
    assert [*run.events()] == [*rb.events(session_id)]
    assert [claim.tool for claim in run.claims()] == ["send"]
    assert [line["raw"] for line in run.log_lines()] == ["first", "second", "third jo@example.com"]
    assert [(found.number, found.kind) for found in run.turns("analyst")] == [
        *((1, kind) for kind in "mit"),
        (2, "f"),
    ]
    assert run.definition("analyst")["message"] == "Ask"
    assert [(wait.wait, wait.questions, wait.by, wait.expired) for wait in run.waits()] == [
        (1, (MAIL, WHERE), ANN, False),
        (2, (), None, False),
    ]
    assert [wait.answers for wait in run.waits()] == [(YES, Answer(True, "where jo@example.com lives")), None]
    assert run.artifact("analyst.md") == "# jo@example.com"
    assert run.artifacts()["planner/0007.json"] == {"input-tokens": "10"}
    assert run.units() == [("analyst", None), ("planner", 7)]
    assert not any("zombie" in path.read_text() for path in tmp_path.rglob("*.json"))


def test_questions_that_expired_are_pulled_as_a_denial_that_nobody_said(
    rb: Runbook, history: History, clients: Clients, outputs: StackOutputs, tmp_path: Path
) -> None:
    run = history.claim()
    wait = history.ask(run, NOON, MAIL, WHERE)
    history.expire(wait)
    body = serialized_questions([MAIL, WHERE])
    clients.s3.put_object(Bucket=outputs.artifact_bucket_name, Key=wait.key, Body=body)
    (found,) = rb.pull(run, tmp_path / "run").run.waits()
    assert (found.by, found.expired) == (None, True)
    assert found.answers == (Answer(approved=False, expired=True),) * 2


def test_what_is_not_there_any_more_and_what_looks_like_a_secret_is_said_but_not_shown(
    rb: Runbook, session_id: str, tmp_path: Path
) -> None:
    sentences = "\n".join(rb.pull(session_id, tmp_path / "run").said)
    assert f"artifact {artifact_prefix(session_id)}gone.md is not in the bucket any more" in sentences
    assert f"{questions_key(session_id, 2, 3)} is not in the bucket any more" in sentences
    assert "the turns of reporter are not in the bucket any more" in sentences
    assert "an AWS access key in turns/analyst/-/002/0002f.json" in sentences
    assert KEY not in sentences


def test_a_hook_sees_every_text_before_it_is_written(rb: Runbook, session_id: str, tmp_path: Path) -> None:
    found = rb.pull(session_id, tmp_path / "run", redact=lambda text: text.replace("jo@example.com", "…"))
    assert found.run.manifest.redacted
    assert not any(b"jo@example" in path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())


def test_a_hook_that_changes_everything_leaves_what_a_replay_needs(
    rb: Runbook, session_id: str, tmp_path: Path
) -> None:
    run = rb.pull(session_id, tmp_path / "run", redact=lambda _: "x").run
    model = run.turns("analyst")[0]
    assert model.messages[0] == {"role": "assistant", "content": [{"text": "x"}]}
    assert model.messages[1]["content"][0]["toolUse"] == {"toolUseId": "t1", "name": "send", "input": {"name": "x"}}
    interrupts = run.turns("analyst")[1].interrupts
    assert interrupts
    assert interrupts.questions == (replace(MAIL, text="x"),)
    assert interrupts.results == [{"toolUseId": "t2", "status": "success", "content": [{"text": "x"}]}]
    first, _ = run.waits()
    assert first.questions == (replace(MAIL, text="x"), replace(WHERE, text="x"))
    assert (first.answers, first.by) == ((Answer(True, "x"), Answer(True, "x")), "x")
    asked = next(event.detail for event in run.events() if event.status == Status.RUN_WAITING)
    assert asked
    assert [(question["wants"], question["text"]) for question in asked["questions"]] == [
        ("approval", "x"),
        ("text", "x"),
    ]
    assert asked["until"] == to_timestamp(NOON + timedelta(hours=24))
    assert [event.status for event in run.events()] == [event.status for event in rb.events(session_id)]


@pytest.mark.parametrize("name", [MANIFEST, "turns/analyst/-/002/0001t.json", "artifacts/analyst.md", "events.jsonl"])
def test_a_folder_with_a_byte_changed_is_refused_by_name(
    rb: Runbook, session_id: str, tmp_path: Path, name: str
) -> None:
    rb.pull(session_id, tmp_path / "run")
    path = tmp_path / "run" / name
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    with pytest.raises(PulledRunUnusable, match=name):
        PulledRun.open(tmp_path / "run")


def test_a_manifest_that_leads_out_of_its_folder_is_refused(rb: Runbook, session_id: str, tmp_path: Path) -> None:
    manifest = rb.pull(session_id, tmp_path / "run").run.manifest
    (tmp_path / "run" / MANIFEST).write_text(replace(manifest, files={"../x": "0"}).serialized())
    with pytest.raises(PulledRunUnusable, match="not in the folder"):
        PulledRun.open(tmp_path / "run")


@pytest.mark.parametrize(
    ("code", "message"),
    [("redact = 3", "no function"), ("def redact(text): return 1", "an? int"), ("def redact(text): 1 / 0", "ZeroDiv")],
)
def test_a_hook_that_can_t_redact_writes_nothing_that_it_was_not_asked_about(
    rb: Runbook, session_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, message: str
) -> None:
    (tmp_path / "own_hook.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_hook", raising=False)
    with pytest.raises(RedactionFailed, match=message):
        rb.pull(session_id, tmp_path / "run", redact=load_hook("own_hook:redact"))
    assert not any(b"jo@example" in path.read_bytes() for path in (tmp_path / "run").rglob("*"))


@pytest.mark.parametrize("name", ["own", "no.such:hook", "json:no_such"])
def test_a_hook_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(RedactionFailed, match=f"{name}.*module:function"):
        load_hook(name)


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        "-----BEGIN RSA PRIVATE KEY-----",
        "ghp_" + "a" * 36,
        "xoxb-1234567890-x",
        "sk-" + "a" * 30,
        "Authorization: Bearer " + "a" * 20,
        "postgres://jo:secret1@host/db",
        r"{\"password\": \"hunter22\"}",
        "api_key = abcdef123",
    ],
)
def test_what_looks_like_a_secret_is_found(text: str) -> None:
    assert secrets_in(f"before {text} after")


def test_what_is_no_secret_is_left_alone() -> None:
    assert not secrets_in("The password: none. Tokens: 12. See https://example.com/a:b@c, risk-free skills.")


class Bucket:
    """As much of S3 as a pull uses, with turns of 20 KB that are made when they are read."""

    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects
        self.exceptions = Mock(NoSuchKey=KeyError)

    def get_paginator(self, _name: str) -> Mock:
        """All keys on one page."""
        return Mock(paginate=self._pages)

    def _pages(self, **asked: str) -> list[Any]:
        return [{"Contents": [{"Key": key} for key in self.objects if key.startswith(asked["Prefix"])]}]

    def get_object(self, **asked: str) -> dict[str, Any]:
        """An object with all its words."""
        return {"Body": io.BytesIO(self.objects[asked["Key"]].replace(b"FILL", b"word " * 4096)), "Metadata": {}}


def large_run(session_id: str) -> dict[str, bytes]:
    """The objects of a run of 10 steps, of which one has 100 items, and 1,000 turns."""
    objects = dict[str, bytes]()
    units = [(f"step{number}", None, 100) for number in range(9)] + [("items", number, 1) for number in range(100)]
    for step, item, turns in units:
        parent = None
        for number in range(1, turns + 1):
            key = turn_key(session_id, step, item, 1, number, TurnKind.MODEL if number < turns else TurnKind.FINAL)
            objects[key] = turn(number, TurnKind.MODEL, parent, said("FILL"))
            parent = key
        objects[definition_key(session_id, step, item, 1)] = b'{"prompt": "FILL"}'
        name = step if item is None else f"{step}/{item:04}"
        objects[f"{artifact_prefix(session_id)}{name}.md"] = b"FILL"
    return objects


def pull_large_run(directory: Path) -> tuple[int, int, bool]:
    """Pull a large run. Return the most memory that it took, the threads that are left, and whether all was told."""
    run = "0" * 40
    objects = large_run(run)
    assert sum(key.endswith(("m.json", "f.json")) for key in objects) == 1000
    at = utc_now()
    reader, logs = Mock(), Mock()
    told = {"text": "x" * 100}
    reader.events.return_value = (event(run, "TASK_ITEMS_TURN", at, detail=told) for _ in range(5000))
    reader.outcome.return_value = event(run, Status.SESSION_FAILED, at)
    reader.tool_claims.return_value = reader.waits_of.return_value = []
    logs.each_line.return_value = [(Mock(at=at, environment_id="one", raw="x" * 1000) for _ in range(2000))]
    sources = Sources(reader, logs, Bucket(objects), "bucket", "dev", [], {"prompt": "x"}, True)  # pyrefly: ignore[bad-argument-type]
    metadata = RunMetadata(session_id=run, created_at=at, expires_at=0, execution_arn="", request={}, bounds=BOUNDS)
    progress = Mock()
    tracemalloc.start()
    Pull(metadata, sources, directory, None, progress).run()
    peak = tracemalloc.get_traced_memory()[1]
    return peak, threading.active_count(), progress.call_args.args == (len(objects), len(objects))


def test_a_large_run_is_pulled_in_bounded_memory(tmp_path: Path) -> None:
    # In a process of its own: what other tests have left running takes memory and threads as well.
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:
        peak, threads, is_told = alone.submit(pull_large_run, tmp_path / "run").result(100)
    size = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file())
    sys.stdout.write(f"{size / 1e6:.1f} MB pulled with {peak / 1e6:.1f} MB at most\n")
    assert size > 20_000_000
    assert peak < 6_000_000
    assert is_told
    assert len(PulledRun.open(tmp_path / "run").turns("step3")) == 100
    assert threads < 8
