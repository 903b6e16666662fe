"""The console in JupyterLab in a real Chromium, used as an engineer on call would: clicks, keys, no id typed."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest

from runtime.journal.timestamps import utc_now
from runtime.journal.vocabulary import Status
from tests.notebooks.conftest import read
from tests.support.browser import BROWSER, Page, open_page
from tests.support.fake_model import FakeModel
from tests.support.http_server import HttpServer
from tests.support.jupyter_lab import jupyter_lab
from tests.support.running_cloud import RunningCloud, running_cloud
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(300),
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium on this machine"),
]
PAGE = ".rbc-page"
CONNECTED = """fetch("/api/sessions").then(answer => answer.json()).then(sessions =>
  sessions.some(({kernel}) => kernel.connections > 0 && kernel.execution_state === "idle"))"""
ROWS = "[...document.querySelectorAll('.rbc-line')].map(row => row.innerText)"


@pytest.fixture(scope="module")
def cloud(model: FakeModel) -> Iterator[RunningCloud]:
    """A cloud whose runs may take longer than a browser does."""
    with running_cloud(model_url=model.url, config={"maxRunSeconds": 600}) as running:
        yield running


@contextmanager
def start_here(stack_path: Path, tmp_path: Path) -> Generator[Page]:
    """Open the first notebook in JupyterLab, and run it."""
    notebook = read("00_start_here")
    notebook.cells.append(nbformat.v4.new_code_cell("print('refreshing is', console._widgets._refreshing.is_running)"))
    folder = tmp_path / "lab"
    folder.mkdir()
    nbformat.write(notebook, folder / "00_start_here.ipynb")
    with (
        jupyter_lab(folder, RUNBOOK_STACK_FILE=str(stack_path)) as url,
        open_page(url.format("00_start_here.ipynb"), tmp_path) as opened,
    ):
        opened.wait_for("!!document.querySelector('.jp-Notebook .jp-CodeCell')", "the notebook", 60)
        # Before that JupyterLab would ask which kernel to use.
        opened.wait_for(CONNECTED, "its kernel", 60)
        choose_in_menu(opened, "Run", "Run All Cells")
        opened.wait_for("!!document.querySelector('.rbc-line')", "the list", 60)
        yield opened


@pytest.fixture
def page(stack_path: Path, tmp_path: Path) -> Iterator[Page]:
    """The first notebook, opened and run."""
    with start_here(stack_path, tmp_path) as opened:
        yield opened


def choose_in_menu(page: Page, menu: str, item: str) -> None:
    """Click through JupyterLab's menu."""
    page.click(".lm-MenuBar-itemLabel", menu)
    page.click(".lm-Menu-itemLabel", item)


def row_of(page: Page, session_id: str) -> str:
    """What the list says of a run; empty if it is not on the screen."""
    return next((row for row in page.evaluate(ROWS) if session_id[:8] in row), "")


@pytest.fixture
def failed(cloud: RunningCloud, model: FakeModel) -> str:
    """A run whose second step failed."""
    model.queue_text("The analysis.")
    model.queue_error(500, "overloaded")
    session_id = cloud.runbook.trigger("What is slow?")
    assert cloud.wait_for_end(session_id).status == Status.AGENT_BACKGROUND_TASK_FAILED
    return session_id


@pytest.fixture
def hanging(cloud: RunningCloud) -> Iterator[str]:
    """An open run that works on for longer than anybody looks."""
    session_id = cloud.runbook.trigger("hold 100", workflow="verify")
    wait_until(lambda: "TASK_WORK_STARTED" in statuses(cloud, session_id), "its second step", 30)
    yield session_id
    if cloud.runbook.outcome(session_id) is None:
        cloud.runbook.cancel(session_id, "the test is over")


@pytest.fixture
def asking(cloud: RunningCloud, model: FakeModel) -> str:
    """A run that waits for a person."""
    model.queue_tool_call("post_notice", {"text": "Empty the cache before each release."})
    model.queue_text("Done.")
    session_id = cloud.runbook.trigger("Tell the others.", workflow="follow_up")
    wait_until(lambda: Status.RUN_WAITING in statuses(cloud, session_id), "its question", 30)
    return session_id


def statuses(cloud: RunningCloud, session_id: str) -> list[str]:
    """What the journal has of a run that may not have begun."""
    reader = cloud.runbook._reader
    return [event.status for event in reader.events(session_id)]


def test_an_engineer_finds_out_why_a_run_failed_retries_it_and_cancels_another(
    cloud: RunningCloud, failed: str, hanging: str, page: Page
) -> None:
    stack = f"{cloud.output('eventSource')} in "
    page.wait_for_text("failed of", PAGE)
    page.wait_for("!document.querySelector('.rbc-figures').innerText.includes('…')", "dead letters and dollars")
    assert "step work" in row_of(page, hanging)
    assert "last sign of life" in row_of(page, hanging)

    page.choose("select", "failed")
    page.wait_for(f"!{ROWS}.some(row => row.includes({hanging[:8]!r}))", "the others to go")
    assert "ModelErrorException" in row_of(page, failed)

    page.click("button.rbc-open", failed[:8])
    page.wait_for_text("In step reporter: ModelErrorException", PAGE)
    assert "most recent call last" not in page.text(PAGE)
    page.click("summary", "Traceback, ")
    page.wait_for_text("most recent call last", PAGE)

    page.click("button", "Retry …")
    page.wait_for_text(f"again in stack {stack}", PAGE)
    before = len(cloud.runbook.runs(utc_now().replace(hour=0, minute=0)))
    page.click("button", "No")
    page.wait_for("!document.querySelector('.rbc-ask')?.offsetParent", "the question to go")
    assert len(cloud.runbook.runs(utc_now().replace(hour=0, minute=0))) == before
    page.click("button", "Retry …")
    page.wait_for("document.querySelector('.rbc-ask')?.offsetParent != null", "the question")
    page.click("button", "Yes, retry")
    page.wait_for("document.querySelector('.rbc-page h3')?.innerText.includes('completed')", "the retry's end", 60)
    assert failed in page.text(PAGE)
    assert "taken from run" in page.text(PAGE)

    page.click("button", "All runs")
    page.wait_for(f"{ROWS}.some(row => row.includes({failed[:8]!r}) && row.includes('retried as'))", "the retry")
    page.choose("select", "any status")
    page.click("button.rbc-open", hanging[:8])
    page.wait_for_text("last sign of life", PAGE)
    page.click("button", "Cancel …")
    page.wait_for_text(f"of stack {stack}", PAGE)
    page.click("button", "Yes, cancel it")
    page.wait_for("document.querySelector('.rbc-page h3')?.innerText.includes('cancelled')", "the cancelled run", 60)
    outcome = cloud.runbook.outcome(hanging)
    assert outcome
    assert (outcome.status, outcome.error_message) == (Status.SESSION_CANCELLED, "cancelled from the console")
    page.click("button", "All runs")
    page.wait_for(
        f"{ROWS}.some(row => row.includes({hanging[:8]!r}) && row.includes('cancelled'))", "the list's change"
    )


def test_what_a_run_asks_is_read_and_approved_in_the_console(cloud: RunningCloud, asking: str, page: Page) -> None:
    page.wait_for_text("Empty the cache before each release.", PAGE)
    assert "1 run waits for an answer" in page.text(PAGE)
    assert "waiting" in row_of(page, asking)
    page.click("button", "Approve …")
    page.wait_for_text(f"Answer wait 1 of run {asking[:8]}", PAGE)
    assert Status.RUN_ANSWERED not in statuses(cloud, asking)
    page.click("button", "Yes, approve")
    page.wait_for(f"{ROWS}.some(row => row.includes({asking[:8]!r}) && row.includes('completed'))", "its end", 60)
    assert "TASK_LIBRARIAN_PROGRESS" in statuses(cloud, asking)
    assert "waits for an answer" not in page.text(PAGE)


def test_the_keyboard_alone_opens_a_run_and_comes_back(failed: str, page: Page) -> None:
    page.click("input[type=text]")
    page.type(failed[:8])
    page.wait_for(f"{ROWS}.length === 1", "one row")
    for _ in range(6):
        page.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('rbc-open')"):
            break
    page.press("Enter")
    page.wait_for_text("In step reporter", PAGE)
    page.wait_for("document.activeElement.innerText.includes('All runs')", "the focus on the way back")
    page.press("Enter")
    page.wait_for("document.activeElement.classList.contains('rbc-open')", "the focus on the run again")


def test_what_a_model_wrote_asks_no_server(
    cloud: RunningCloud, model: FakeModel, stack_path: Path, tmp_path: Path
) -> None:
    with HttpServer() as listener, ExitStack() as parts:
        evil = f"""# Findings <img src="{listener.url}/raw.png">

![a chart]({listener.url}/chart.png) [a page]({listener.url}/page) <{listener.url}/auto> ![r][r]

<script>fetch("{listener.url}/script")</script><iframe src="{listener.url}/frame"></iframe>
<div style="background: url({listener.url}/background.png)">It costs $5 to $x^2$</div>

[r]: {listener.url}/reference.png
"""
        model.queue_text(evil)
        model.queue_text(evil)
        session_id = cloud.run(f'Sum up "<img src={listener.url}/prompt.png>" for $5 to $x^2$')
        opened = parts.enter_context(start_here(stack_path, tmp_path))
        opened.click("button.rbc-open", session_id[:8])
        opened.wait_for_text("the report", PAGE)
        opened.evaluate("document.querySelectorAll('.rbc details').forEach(each => each.open = true)")
        opened.wait_for_text("[image: a chart]", PAGE)
        opened.listen(3.0)
        assert listener.requests == []
        hosts = {urlsplit(url).netloc for url in opened.requested if url.startswith(("http", "ws"))}
        assert len(hosts) == 1, hosts
        assert opened.evaluate("document.querySelectorAll('mjx-container').length") == 0
        # A listener that nothing can reach would hear nothing, either.
        opened.evaluate(f"fetch('{listener.url}/control', {{mode: 'no-cors'}}).then(() => true)")
        assert [request.path for request in listener.requests] == ["/control"]


def test_an_interrupt_of_the_kernel_ends_the_refreshing(hanging: str, page: Page) -> None:
    page.wait_for_text("refreshes itself while a run is open", PAGE)
    choose_in_menu(page, "Kernel", "Interrupt Kernel")
    page.wait_for_text("Not refreshed any more: the kernel was interrupted", PAGE)
    page.click("button", "Refresh")
    page.wait_for_text("refreshes itself while a run is open", PAGE)


def test_an_output_that_is_gone_is_not_refreshed(hanging: str, page: Page) -> None:
    run_last_cell(page)
    page.wait_for_text("refreshing is True", ".jp-Notebook")
    choose_in_menu(page, "Edit", "Clear Outputs of All Cells")
    page.wait_for("!document.querySelector('.rbc-page')", "the output to go")
    run_last_cell(page)
    page.wait_for_text("refreshing is False", ".jp-Notebook")


def run_last_cell(page: Page) -> None:
    """Ask the kernel whether it looks again."""
    page.click(".jp-CodeCell .cm-content", "refreshing is")
    page.press("Enter", modifiers=8)
