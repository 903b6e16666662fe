"""What steps have produced, for people."""

from __future__ import annotations

import copy
import json

import pytest

from runbook.artifacts import Artifact
from runbook.clients import Clients
from runbook.errors import ArtifactNotFound
from runbook.outputs import StackOutputs
from runbook.runbook import Runbook
from tests.runbook.history import new_session_id

LEADS = [{"question": "What changed?", "parts": ["a", "b\nc"], "cost": None}, "text"]
AS_A_LIST = """\
- **[0]**
  - **question:** What changed?
  - **parts:**
    - a
    - b
      c
  - **cost:** null
- text"""


def test_data_are_lists_for_people_and_text_stays_as_it_is() -> None:
    assert Artifact(json.dumps(LEADS), "sessions/a/planner.json").markdown == AS_A_LIST
    assert Artifact("# Clouds", "sessions/a/reporter.md").markdown == "# Clouds"
    assert Artifact("[]", "sessions/a/planner.json").markdown == "none"


def test_an_artifact_is_its_text_as_it_is_stored() -> None:
    text = json.dumps(LEADS, indent=2)
    found = Artifact(text, "sessions/a/planner.json")
    assert (found, found.data, str(found)) == (text, LEADS, text)
    assert copy.deepcopy(found).key == found.key


@pytest.mark.parametrize("text", ["no JSON", "[" * 100_000, '{"cut": '])
def test_data_that_can_not_be_parsed_are_text(text: str) -> None:
    assert Artifact(text, "sessions/a/planner.json").data == text


def test_deep_data_and_what_would_act_on_the_reader_are_shown_all_the_same() -> None:
    deep = Artifact("[" * 200 + '"\x1b"' + "]" * 200, "sessions/a/planner.json")
    assert deep.data == str(deep)  # JSON has no such character, escaped it has
    deep = Artifact("[" * 200 + r'"\u001b[2J"' + "]" * 200, "sessions/a/planner.json")
    assert "[[[[" in deep.markdown
    assert "\x1b" not in Artifact(r'{"a": "\u001b[2J"}', "sessions/a/planner.json").markdown


def test_an_artifact_is_found_by_its_step_and_item_whatever_its_kind(
    rb: Runbook, clients: Clients, outputs: StackOutputs
) -> None:
    session_id = new_session_id()
    for name in ("planner.json", "investigator/0001.md", "investigator_too.md"):
        key = f"sessions/{session_id}/{name}"
        clients.s3.put_object(Bucket=outputs.artifact_bucket_name, Key=key, Body=b"[]")
    assert rb.artifact(f" {session_id}\n", "planner").data == []
    assert rb.artifact(session_id, "investigator", 1).key.endswith("/investigator/0001.md")
    with pytest.raises(ArtifactNotFound, match=r"no artifact sessions/\S+/investigator: it has sessions/"):
        rb.artifact(session_id, "investigator")
    with pytest.raises(ArtifactNotFound, match="the run has none"):
        rb.artifact(new_session_id(), "planner")


def test_in_a_notebook_an_artifact_loads_nothing() -> None:
    shown = Artifact("![a chart](http://evil.example/x.png) <img src=x>", "sessions/a/reporter.md")._repr_html_()
    assert "<img" not in shown
    assert "[image: a chart]</a> <small>(evil.example)</small>" in shown
    assert not hasattr(Artifact(""), "_repr_markdown_")
