"""What single benchmarks compute from what they measure."""

import asyncio
import io
import zipfile

import pytest

from benchmarks import scripted_cloud
from benchmarks.agent_memory import slope
from benchmarks.apps import scripted_model
from benchmarks.rows import Verdict
from benchmarks.transitions import CALLBACK, FIXED, GROWING, GROWING_CALLBACK, history_row
from runtime.agent.results import message_for
from runtime.agent.workflow import WORKFLOWS


def test_a_slope_is_not_tilted_by_one_late_jump() -> None:
    assert slope([100.0] * 15 + [160.0] + [100.0] * 15) == 0
    assert slope([10.0, 12.0, 14.0, 16.0]) == 2


def test_a_slope_needs_two_values() -> None:
    with pytest.raises(ValueError, match="median"):
        slope([1.0])


def test_growing_polls_fit_an_eight_hour_run_and_fixed_ones_do_not() -> None:
    assert history_row(GROWING).verdict is Verdict.MET
    fixed = history_row(FIXED)
    assert fixed.figure is not None
    assert fixed.figure > 25_000


def test_an_eight_hour_run_by_callback_stays_under_1500_events_where_its_polls_grow() -> None:
    assert history_row(CALLBACK).verdict is Verdict.MET
    growing = history_row(GROWING_CALLBACK)
    assert (growing.verdict, growing.target) == (Verdict.MET, 1_500)


def test_only_the_model_is_replaced_in_a_scripted_agent() -> None:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        archive.writestr("main.py", "main")
        archive.writestr(scripted_cloud.REPLACED, "the real one")
    with zipfile.ZipFile(io.BytesIO(scripted_cloud.replaced(package.getvalue()))) as changed:
        assert changed.read("main.py") == b"main"
        assert changed.read(scripted_cloud.REPLACED) == scripted_cloud.SCRIPTED_MODEL.read_bytes()


async def worked(message: str) -> str:
    return (await scripted_model.run_step(None, WORKFLOWS["default"].steps[0], message, None)).text


def test_a_scripted_agent_does_what_the_first_line_of_its_request_says() -> None:
    assert asyncio.run(worked(message_for("work 0", []))) == "analyst is done"
