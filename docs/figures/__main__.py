"""`python -m docs.figures`: makes the pictures of this folder anew, on an embedded cloud of its own.

A run whose environment goes down in its second step, as the notebooks draw it; and a notebook that was run to its end,
in a headless Chromium. Not part of the tests: it needs a Chromium, and takes a minute.
"""

import base64
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import papermill

from docs.figures.screenshot import screenshot
from local import stack_file
from runbook.connection import PROJECT
from tests.support.fake_model import FakeModel
from tests.support.running_cloud import RunningCloud, running_cloud

HERE = Path(__file__).parent
NOTEBOOKS = PROJECT / "notebooks"
REPORT = """# What to look at first

1. **The release's database calls.** Checkout makes 14 queries an order since Tuesday, before it were 5.
2. **The connection pool.** It is at its limit of 20 from 10:00 on; waiting for it is 60 % of the added latency.
3. **The retry in the payment client.** It doubles every call that takes longer than 800 ms.

Roll back the order service if (1) can't be fixed today; (2) and (3) get better with it.
"""
ANALYST_SECONDS, INTERRUPTED_SECONDS, REPORTER_SECONDS = 6.0, 25.0, 4.0


def main() -> None:
    """Make all pictures."""
    with ExitStack() as parts:
        model = parts.enter_context(FakeModel(default_text="A few words."))
        cloud = parts.enter_context(running_cloud(model_url=model.url))
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory()))
        os.environ["RUNBOOK_STACK_FILE"] = str(folder / "stack.json")
        stack_file.write(cloud.stack, folder / "stack.json")

        session_id = resumed_run(cloud, model)
        for notebook, picture in (("02_inspect_log_streams", "environments"), ("04_recover_runs", "timeline")):
            (HERE / f"{picture}.png").write_bytes(first_picture(notebook, folder, session_id=session_id))

        model.queue_text("The analysis.", delay_seconds=ANALYST_SECONDS)
        model.queue_text(REPORT, delay_seconds=REPORTER_SECONDS)
        papermill.execute_notebook(
            NOTEBOOKS / "01_trigger_runs.ipynb",
            folder / "trigger.ipynb",
            {"demo": True},
            cwd=NOTEBOOKS,
            progress_bar=False,
        )
        (HERE / "notebook.png").write_bytes(screenshot(folder / "trigger.ipynb", "## Its timeline"))


def resumed_run(cloud: RunningCloud, model: FakeModel) -> str:
    """A run whose first environment goes down while its second step works."""
    model.queue_text("The analysis.", delay_seconds=ANALYST_SECONDS)
    model.queue_text("Nobody hears this.", delay_seconds=INTERRUPTED_SECONDS)
    model.queue_text(REPORT, delay_seconds=REPORTER_SECONDS)
    session_id = cloud.runbook.trigger("Our checkout latency doubled after Tuesday's release.")
    is_reporting = False
    for event in cloud.runbook.watch(session_id, timeout_seconds=120, poll_seconds=0.05):
        is_reporting = is_reporting or event.status == "TASK_REPORTER_STARTED"
        if is_reporting and event.attempt == 1 and event.status.endswith("_HEARTBEAT"):
            cloud.runbook.stop_session(session_id)
    return session_id


def first_picture(name: str, folder: Path, **parameters: Any) -> bytes:
    """Execute a notebook, and return the first figure that it shows."""
    done: Any = papermill.execute_notebook(
        NOTEBOOKS / f"{name}.ipynb", folder / f"{name}.ipynb", parameters, cwd=NOTEBOOKS, progress_bar=False
    )
    outputs = [output for cell in done.cells for output in cell.get("outputs", [])]
    pictures = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    return base64.b64decode(pictures[0])


if __name__ == "__main__":
    main()
