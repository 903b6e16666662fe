"""A question before something is done that can't be undone."""

from collections.abc import Callable

import ipywidgets as w

from runbook.console.buttons import button
from runbook.console.html import block, text


class Confirmation:
    """Asks, and acts once if the answer is yes. Not seen while it has nothing to ask.

    :param field: what is to be filled in, where a question wants that
    """

    def __init__(self, field: w.DOMWidget | None = None) -> None:
        self._asked = w.HTML(layout=w.Layout(width="100%", margin="0"))
        self._field = field
        self._act: Callable[[], None] = self.take_back
        self._yes = button("", self._answered, button_style="danger")
        self._no = button("No", self.take_back, "60px")
        fields = [] if field is None else [field]
        self.widget = w.VBox([self._asked, *fields, w.HBox([self._yes, self._no])], layout=w.Layout(display="none"))
        self.widget.add_class("rbc-ask")

    def ask(self, question: str, yes: str, act: Callable[[], None], *, with_field: bool = False) -> None:
        """Ask a question.

        :param yes: what the button says that acts
        """
        self._asked.value = block(f"<p>{text(question)}</p>")
        self._yes.description, self._act = yes, act
        if self._field is not None:
            self._field.layout.display = None if with_field else "none"
        self.widget.layout.display = None
        # What ends a run takes more than a return key hit once too often.
        self._no.focus()

    def take_back(self) -> None:
        """Ask nothing any more."""
        self.widget.layout.display = "none"
        self._act = lambda: None

    def _answered(self) -> None:
        act = self._act
        self.take_back()
        act()
