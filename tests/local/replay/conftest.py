"""Recorded runs of the order desk, and the workflow's place among those that are known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from strands.models.model import Model

from runtime.agent import definition, workflow
from runtime.agent.definition import Workflow
from tests.local.replay import order_desk
from tests.support.recorded_run import record
from tests.support.scripted_model import ScriptedModel, Turn

Know = Callable[[Workflow], Workflow]


class Recorder:
    """Records runs of workflows, which are then known."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = patch
        self.folder = folder

    def know(self, known: Workflow) -> Workflow:
        """Let requests name a workflow."""
        self._patch.setitem(workflow.WORKFLOWS, known.name, known)
        return known

    def desk(self, *turns: Turn | Exception, **changes: Any) -> Path:
        """Record a run of the order desk; see `order_desk.order_desk` for `changes`."""
        options = {name: changes.pop(name) for name in ("redacted", "cancelled", "answered") if name in changes}
        model = ScriptedModel(*turns)
        return self.record(order_desk.order_desk(**changes), lambda _step, _item: model, **options)

    def record(self, recorded: Workflow, model_for: Callable[[str, int | None], Model], **options: Any) -> Path:
        """Record a run of a workflow."""
        record(self.folder, self.know(recorded), model_for, **options)
        return self.folder


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recorder:
    """What records runs, into `folder`."""
    monkeypatch.setattr(definition, "PROMPTS", order_desk.PROMPTS)
    return Recorder(monkeypatch, tmp_path / "run")
