"""A run to be pulled: its records, its objects and what it logged."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from runbook.clients import Clients
from runbook.outputs import StackOutputs
from runtime.agent.artifacts import Usage
from runtime.agent.turns import Interrupts, Turn, TurnKind, definition_key, turn_key
from runtime.journal.keys import artifact_prefix, questions_key
from runtime.journal.records import ToolClaim, to_item
from runtime.journal.vocabulary import Status
from runtime.journal.waits import Answer, serialized_questions
from tests.runbook.history import MAIL, NOON, WHERE, YES, History, event, write_log

KEY = "AKIA" + "Q" * 16


def turn(number: int, kind: TurnKind, parent: str | None, *messages: Any, asks: Interrupts | None = None) -> bytes:
    """A turn as an agent stores it."""
    return Turn(number, kind, [*messages], parent, Usage(10, 5), (), asks, "digest", "1.62.0").serialized()


def said(text: str) -> dict[str, Any]:
    """A message of the model."""
    return {"role": "assistant", "content": [{"text": text}]}


def called(tool: str, **given: Any) -> dict[str, Any]:
    """A model's message that calls a tool."""
    return {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": tool, "input": given}}]}


def failed_run(history: History, clients: Clients, outputs: StackOutputs) -> str:
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
    wait = history.ask(run, NOON, MAIL, WHERE, attempt=2)
    history.answer(wait, NOON, YES, Answer(approved=True, text="where jo@example.com lives"))
    history.ask(run, NOON + timedelta(seconds=1), MAIL, number=2, attempt=3)
    history.close(run, Status.AGENT_BACKGROUND_TASK_FAILED, NOON, error_type="E", error_message="no jo@example.com")
    first = turn_key(run, "analyst", None, 1, 1, TurnKind.MODEL)
    asked = turn_key(run, "analyst", None, 1, 1, TurnKind.INTERRUPTED)
    result = {"toolUseId": "t2", "status": "success", "content": [{"text": "of jo@example.com"}]}
    second = turn_key(run, "analyst", None, 2, 1, TurnKind.TOOLS)
    objects = {
        first: turn(1, TurnKind.MODEL, None, said("Hello jo@example.com"), called("send", name="jo@example.com")),
        turn_key(run, "analyst", None, 1, 2, TurnKind.FINAL): turn(2, TurnKind.FINAL, first, said("of a zombie")),
        asked: turn(1, TurnKind.INTERRUPTED, first, asks=Interrupts((MAIL,), [result])),
        second: turn(1, TurnKind.TOOLS, asked, said("sent")),
        turn_key(run, "analyst", None, 2, 2, TurnKind.FINAL): turn(2, TurnKind.FINAL, second, said(f"use {KEY}")),
        definition_key(run, "analyst", None, 1): json.dumps({"prompt": "Be brief, jo@example.com"}).encode(),
        definition_key(run, "analyst", None, 2): json.dumps({"prompt": "Be brief", "message": "Ask"}).encode(),
        definition_key(run, "planner", 7, 1): b"{}",
        wait.key: serialized_questions([MAIL, WHERE]),
        questions_key(run, 1, 1): b"of a zombie",
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
