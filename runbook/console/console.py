"""`Runbook.console`: widgets where somebody can click, and the same list in plain HTML elsewhere."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from runbook.console.overview import Overview, look
from runbook.console.overview_page import static_page
from runbook.console.questions_page import static_questions
from runbook.console.spending import Spending
from runbook.errors import RunbookError
from runtime.journal.timestamps import utc_now

if TYPE_CHECKING:
    from runbook.console.widgets import Widgets
    from runbook.runbook import Runbook

T = TypeVar("T")


class Console:
    """The runs of a stack in one cell. Looks once when it is made.

    :param span: how far back the list goes
    """

    def __init__(self, runbook: "Runbook", span: timedelta) -> None:
        self._runbook = runbook
        self._span = span
        self._widgets: Widgets | None = None
        self.overview: Overview = look(runbook, utc_now() - span)

    def __repr__(self) -> str:
        found = self.overview
        return f"<Console of {found.stack}: {found.failed} failed of {len(found.rows)}, {found.open} open>"

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, Any]:
        if not is_somebody_there():
            return {"text/plain": repr(self), "text/html": self.static_html()}
        from runbook.console.widgets import Widgets

        self._widgets = self._widgets or Widgets(self._runbook, self._span, self.overview)
        # Beside the widget: what a notebook shows that is opened without its kernel.
        return self._widgets.view() | {"text/html": static_page(self.overview, None, None)}

    def static_html(self) -> str:
        """Return the list as it is shown where nothing can be clicked, with questions, dead letters and costs."""
        unanswered: list[str] = []

        def asked(ask: Callable[[], T]) -> T | None:
            try:
                return ask()
            except (RunbookError, ClientError, BotoCoreError) as error:
                unanswered.append(str(error))
                return None

        letters = asked(lambda: len(self._runbook.dead_letters()))
        spent = asked(lambda: Spending(self._runbook).of(self.overview.rows))
        waiting = asked(self._runbook.waiting)
        questions = static_questions(waiting, utc_now()) if waiting else ""
        return static_page(self.overview, letters, spent, unanswered, questions)


def is_somebody_there() -> bool:
    """Return whether the cell that runs was started by somebody who could answer it, and so could click as well.

    JupyterLab and VS Code allow a cell to ask for input; nbconvert and papermill, whose client executes cells without
    anybody, do not: https://jupyter-client.readthedocs.io/en/stable/messaging.html, `allow_stdin`.
    """
    from IPython import get_ipython

    parent: Any = getattr(get_ipython(), "get_parent", dict)()
    return bool(parent.get("content", {}).get("allow_stdin"))
