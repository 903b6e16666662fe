"""Makes the recorded run in `runs/order` anew: `python -m tests.local.replay.record_order`."""

import shutil
from pathlib import Path

from runtime.agent import definition
from tests.local.replay import order_desk
from tests.support.recorded_run import record
from tests.support.scripted_model import ScriptedModel, calls, says

RUN = Path(__file__).parent / "runs" / "order"

if __name__ == "__main__":
    shutil.rmtree(RUN, ignore_errors=True)
    definition.PROMPTS = order_desk.PROMPTS
    model = ScriptedModel(calls("look_up", order="7"), says("12 thirty"))
    record(RUN, order_desk.order_desk(), lambda _step, _item: model)
