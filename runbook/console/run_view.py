"""One run as widgets: its page, and the buttons that act on it, each of which asks first."""

from collections.abc import Callable

import ipywidgets as w

from runbook.console.buttons import button
from runbook.console.confirmation import Confirmation
from runbook.console.details import RunDetails
from runbook.console.html import block, text
from runbook.console.run_page import sections

DEFAULT_REASON = "cancelled from the console"


class RunView:
    """Shows a run.

    :param stack: what the confirmations name
    """

    def __init__(
        self,
        stack: str,
        on_close: Callable[[], None],
        on_retry: Callable[[str, bool], None],
        on_cancel: Callable[[str, str], None],
    ) -> None:
        self._stack = stack
        self._session_id = ""
        self._on_retry, self._on_cancel = on_retry, on_cancel
        self._sections: dict[str, w.HTML] = {}
        self._full = w.Layout(width="100%", margin="0")
        self._back = button("All runs", on_close, "110px", icon="arrow-left")
        self._retry = button("Retry …", self._ask_retry, "110px", icon="repeat")
        self._cancel = button("Cancel …", self._ask_cancel, "110px", icon="stop")
        self._reason = w.Text(value=DEFAULT_REASON, placeholder="why", layout=w.Layout(width="60%"), tooltip="Why")
        self._confirmation = Confirmation(self._reason)
        self._said = w.HTML(layout=self._full)
        self._page = w.VBox(layout=self._full)
        buttons = w.HBox([self._back, self._retry, self._cancel])
        self.widget = w.VBox([buttons, self._confirmation.widget, self._said, self._page], layout=self._full)

    def begin(self, session_id: str) -> None:
        """Show that a run is being opened."""
        self._session_id = session_id
        self._confirmation.take_back()
        self._said.value = ""
        self._sections = {}
        self._page.children = []
        self.allow(None)

    def show(self, details: RunDetails | None) -> None:
        """Show a run; None for one that has not begun."""
        if details is None:
            self.say(
                "The journal has nothing of this run yet: its event was sent, and a second later it should be here."
            )
            return
        self._said.value = ""
        shown: list[w.HTML] = []
        for name, content in sections(details):
            section = self._sections.setdefault(name, w.HTML(layout=self._full))
            section.add_class("rbc-full")
            # What stays the same is left alone: what was unfolded in it stays unfolded.
            section.value = content
            shown.append(section)
        if list(self._page.children) != shown:
            self._page.children = shown

    def allow(self, details: RunDetails | None) -> None:
        """Offer what can be done with a run."""
        self._retry.disabled = details is None or not details.run.can_be_retried
        self._cancel.disabled = details is None or not details.row.is_open

    def say(self, sentence: str) -> None:
        """Say something above the page."""
        self._said.value = block(f"<p>{text(sentence)}</p>")

    def focus(self) -> None:
        """Move the keyboard's focus to the way back."""
        self._back.focus()

    def _ask_retry(self) -> None:
        session_id = self._session_id
        self._ask(
            f"Start run {session_id[:8]} again in stack {self._stack}? A new run takes over the finished steps and "
            "does the others, which costs tokens.",
            "Yes, retry",
            lambda: self._on_retry(session_id, False),
        )

    def ask_again(self, session_id: str, refusal: str) -> None:
        """Ask whether a run is to be retried although that may do again what must not happen twice."""
        self._ask(refusal, "Yes, retry all the same", lambda: self._on_retry(session_id, True))

    def _ask_cancel(self) -> None:
        session_id = self._session_id
        self._ask(
            f"Cancel run {session_id[:8]} of stack {self._stack}? It is closed for good and its agent stopped. Why:",
            "Yes, cancel it",
            lambda: self._on_cancel(session_id, self._reason.value),
            with_reason=True,
        )

    def _ask(self, question: str, yes: str, act: Callable[[], None], *, with_reason: bool = False) -> None:
        def confirmed() -> None:
            # Not twice: whatever comes of it is shown before it can be asked for again.
            self.allow(None)
            act()

        self._confirmation.ask(question, yes, confirmed, with_field=with_reason)
