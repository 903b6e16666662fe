"""`runbook verify` where nothing is broken, by poll and by callback; and a callback that is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from runbook.labels import OPEN
from runbook.verify import Verdict, scenarios, verify
from runbook.verify.scenarios import Tried
from runbook.verify.state_machine import wakes
from runbook.verify.trials import Trials
from runtime.journal.timestamps import utc_now
from tests.support.rights import without
from tests.support.running_cloud import RunningCloud

LOOK_SECONDS = 0.1
# What the emulator has not, each by what it answers itself.
NOT_HERE = {"quota: active sessions", "rights: answers", "spans", "finished runs' log", "alarms"}


def test_a_stack_that_works_passes_and_is_left_as_it_was(cloud: RunningCloud) -> None:
    if not wakes(cloud.runbook):
        pytest.skip("tests/runbook has a run of it on a cloud that polls")
    began = utc_now()
    report = verify(cloud.runbook, look_seconds=LOOK_SECONDS)
    assert report.failed == []
    assert report.passed
    assert {row.what for row in report.rows if row.verdict == Verdict.SKIPPED} == NOT_HERE
    assert all(row.seen for row in report.rows)
    assert not cloud.runbook.runs(began - timedelta(seconds=1), OPEN)
    assert not [record for record in cloud.parts.data_plane.environments() if record.session_id]


def test_a_callback_that_nobody_makes_fails_its_row_alone(cloud: RunningCloud) -> None:
    if not wakes(cloud.runbook):
        pytest.skip("this cloud polls")
    with without(cloud, "agent", "states:SendTaskSuccess"):
        rows = scenarios.completes(Trials(cloud.runbook, 60, look_seconds=LOOK_SECONDS), Tried())
    assert [row.what for row in rows if row.verdict == Verdict.FAILED] == ["callback"]
