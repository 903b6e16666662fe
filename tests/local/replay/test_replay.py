"""A recorded run comes to the same end again, until the code does something else."""

import time

import pytest

from local.replay import replayed
from tests.local.replay.conftest import Recorder
from tests.local.replay.order_desk import order_desk
from tests.support.scripted_model import calls, says


def test_a_run_that_failed_in_plain_code_fails_again_and_is_green_once_that_is_mended(recorder: Recorder) -> None:
    folder = recorder.desk(calls("look_up", order="7"), says("12 thirty"))
    began = time.monotonic()
    found = replayed(folder)
    assert time.monotonic() - began < 5
    assert (found.status, found.error_type) == ("AGENT_BACKGROUND_TASK_FAILED", "ValueError")
    assert found.same, found
    assert found.results == {"clerk": "12 thirty"}
