"""A pulled run as a test: all that one needs."""

from pathlib import Path

from local.replay import replayed
from tests.local.replay.conftest import Recorder
from tests.local.replay.order_desk import order_desk

RUN = Path(__file__).parent / "runs" / "order"


def test_the_bill_of_order_7_is_still_refused(recorder: Recorder) -> None:
    recorder.know(order_desk())
    run = replayed(RUN)
    assert run.error_type == "ValueError"
    assert run.results == {"clerk": "12 thirty"}
    assert run.same, run
