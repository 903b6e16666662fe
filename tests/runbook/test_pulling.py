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
from runbook.errors import FolderInUse, PulledRunUnusable, RedactionFailed
from runbook.outputs import StackOutputs
from runbook.pulled import MANIFEST, PulledRun
from runbook.pulling import PARTIAL, Pull, Sources
from runbook.redacting import load_hook, secrets_in
from runbook.runbook import Runbook
from runtime.agent.artifacts import Usage
from runtime.agent.turns import Turn, TurnKind, definition_key, turn_key
from runtime.journal.keys import artifact_prefix
from runtime.journal.records import RunMetadata, ToolClaim, to_item
from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from tests.runbook.history import BOUNDS, NOON, History, event, write_log

KEY = "AKIA" + "Q" * 16


def turn(number: int, kind: TurnKind, parent: str | None, *messages: Any) -> bytes:
    """A turn as an agent stores it."""
    return Turn(number, kind, [*messages], parent, Usage(10, 5), (), None, "digest", "1.62.0").serialized()


def said(text: str) -> dict[str, Any]:
    """A message of the model."""
    return {"role": "assistant", "content": [{"text": text}]}


def called(tool: str, **given: Any) -> dict[str, Any]:
    """A model's message that calls a tool."""
    return {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": tool, "input": given}}]}


@pytest.fixture(autouse=True)
def known_executions(rb: Runbook, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step Functions that has the request with all its digits."""
    given = {"request": {"prompt": "Ask jo@example.com", "number": 1234567890123456789}}
    monkeypatch.setattr(rb.clients.stepfunctions, "describe_execution", Mock(return_value={"input": json.dumps(given)}))


@pytest.fixture
def session_id(history: History, clients: Clients, outputs: StackOutputs) -> str:
    """A run that failed at its second attempt, and what a zombie of the first stored besides."""
    run = history.claim(request={"prompt": "Ask jo@example.com"})
    history.add(
        run,
        Status.AGENT_BACKGROUND_TASK_STARTED,
        NOON,
        attempt=2,
        detail={"workflow": "default", "workflowDigest": "w" * 12, "codeDigest": "c" * 12},
    )
    history.add(run, "TASK_ANALYST_TURN", NOON, attempt=2, step="analyst", turn=1, detail={"after": "answer"})
    history.add(run, "TASK_REPORTER_TURN", NOON, attempt=2, step="reporter", turn=1, detail={"after": "answer"})
    gone = {"artifact": f"{artifact_prefix(run)}gone.md"}
    history.add(run, "TASK_GONE_COMPLETED", NOON, attempt=2, step="gone", detail=gone)
    claim = ToolClaim("analyst", None, 1, 0, "send", "d" * 16, '{"to": "jo@example.com"}')
    attributes = event(run, "TASK_ANALYST_TOOL", NOON, step="analyst", turn=1).attributes() | claim.attributes()
    history.put([to_item(run, claim.sort_key, attributes)])
    history.close(run, Status.AGENT_BACKGROUND_TASK_FAILED, NOON, error_type="E", error_message="no jo@example.com")
    first = turn_key(run, "analyst", None, 1, 1, TurnKind.MODEL)
    second = turn_key(run, "analyst", None, 2, 1, TurnKind.TOOLS)
    objects = {
        first: turn(1, TurnKind.MODEL, None, said("Hello jo@example.com"), called("send", name="jo@example.com")),
        turn_key(run, "analyst", None, 1, 2, TurnKind.FINAL): turn(2, TurnKind.FINAL, first, said("of a zombie")),
        second: turn(1, TurnKind.TOOLS, first, said("sent")),
        turn_key(run, "analyst", None, 2, 2, TurnKind.FINAL): turn(2, TurnKind.FINAL, second, said(f"use {KEY}")),
        definition_key(run, "analyst", None, 1): json.dumps({"prompt": "Be brief, jo@example.com"}).encode(),
        definition_key(run, "analyst", None, 2): json.dumps({"prompt": "Be brief", "message": "Ask"}).encode(),
        definition_key(run, "planner", 7, 1): b"{}",
        f"{artifact_prefix(run)}analyst.md": b"# jo@example.com",
        f"{artifact_prefix(run)}planner/0007.json": b'[{"name": "jo@example.com"}]',
    }
    for key, content in objects.items():
        clients.s3.put_object(
            Bucket=outputs.artifact_bucket_name, Key=key, Body=content, Metadata={"input-tokens": "10"}
        )
    write_log(clients, outputs, run, "one", NOON, "first", "third jo@example.com")
    write_log(clients, outputs, run, "two", NOON + timedelta(seconds=0.5), "second")
    return run


def test_a_pulled_run_is_read_as_it_was_and_only_the_line_that_won(
    rb: Runbook, session_id: str, tmp_path: Path
) -> None:
    rb.pull(session_id, tmp_path / "run")
    run = PulledRun.open(tmp_path / "run")
    manifest = run.manifest
    assert (manifest.workflow, manifest.workflowDigest, manifest.codeDigest) == ("default", "w" * 12, "c" * 12)
    assert run.metadata.request["number"] == 1234567890123456789
    assert run.outcome == rb.outcome(session_id) is not None
    assert [*run.events()] == [*rb.events(session_id)]
    assert [claim.tool for claim in run.claims()] == ["send"]
    assert [line["raw"] for line in run.log_lines()] == ["first", "second", "third jo@example.com"]
    assert [(found.number, found.kind) for found in run.turns("analyst")] == [(1, "m"), (1, "t"), (2, "f")]
    assert run.definition("analyst")["message"] == "Ask"
    assert run.artifact("analyst.md") == "# jo@example.com"
    assert run.artifacts()["planner/0007.json"] == {"input-tokens": "10"}
    assert run.units() == [("analyst", None), ("planner", 7)]
    assert not any("zombie" in path.read_text() for path in tmp_path.rglob("*.json"))


def test_what_is_not_there_any_more_and_what_looks_like_a_secret_is_said_but_not_shown(
    rb: Runbook, session_id: str, tmp_path: Path
) -> None:
    sentences = "\n".join(rb.pull(session_id, tmp_path / "run").said)
    assert f"artifact {artifact_prefix(session_id)}gone.md is not in the bucket any more" in sentences
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


def test_a_pull_that_broke_off_goes_on_without_what_it_has(
    rb: Runbook, session_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, asked = rb.clients.s3.get_object, list[str]()
    monkeypatch.setattr("runbook.pulling.AT_ONCE", 1)

    def twice(**arguments: Any) -> Any:
        asked.append(arguments["Key"])
        if len(asked) == 4:
            raise ConnectionError("the network is gone")
        return get(**arguments)

    monkeypatch.setattr(rb.clients.s3, "get_object", twice)
    with pytest.raises(ConnectionError):
        rb.pull(session_id, tmp_path / "run")
    assert (tmp_path / "run" / PARTIAL).exists()
    with pytest.raises(PulledRunUnusable, match="not there"):
        PulledRun.open(tmp_path / "run")
    rb.pull(session_id, tmp_path / "run")
    failed = asked[3]
    assert [key for key in {*asked} if asked.count(key) > 1] == [failed]
    asked.clear()
    rb.pull(session_id, tmp_path / "run")
    assert (asked, (tmp_path / "run" / PARTIAL).exists()) == ([], False)
    assert len(PulledRun.open(tmp_path / "run").turns("analyst")) == 3


def test_a_run_that_was_pulled_while_it_was_open_is_pulled_to_its_end(
    rb: Runbook, history: History, tmp_path: Path
) -> None:
    run = history.claim()
    assert any("no outcome yet" in sentence for sentence in rb.pull(run, tmp_path / "run").said)
    history.close(run, Status.SESSION_FAILED, NOON)
    assert rb.pull(run, tmp_path / "run").run.outcome
    assert PulledRun.open(tmp_path / "run").outcome


def test_nothing_is_pulled_over_something_else(rb: Runbook, session_id: str, history: History, tmp_path: Path) -> None:
    rb.pull(session_id, tmp_path / "run")
    with pytest.raises(FolderInUse, match=session_id):
        rb.pull(history.completed(), tmp_path / "run")
    with pytest.raises(FolderInUse, match="the run as it was"):
        rb.pull(session_id, tmp_path / "run", redact=str.upper)
    with pytest.raises(FolderInUse, match="something else"):
        rb.pull(session_id, tmp_path)


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
    reader.tool_claims.return_value = []
    logs.each_line.return_value = [(Mock(at=at, environment_id="one", raw="x" * 1000) for _ in range(2000))]
    sources = Sources(reader, logs, Bucket(objects), "bucket", "dev", [], {"prompt": "x"}, True)  # pyright: ignore[reportArgumentType]
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
