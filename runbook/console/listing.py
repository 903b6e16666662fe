"""The list of runs as widgets: filters, one page of rows, each of which is a button from edge to edge."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import ipywidgets as w

from runbook.console.buttons import button
from runbook.console.html import block
from runbook.console.overview import Overview, Row
from runbook.console.overview_page import heading, nothing, row
from runbook.plain_text import visible
from runbook.tables import shortened

PAGE_ROWS = 25
SPANS = {"6 hours": 6, "24 hours": 24, "2 days": 48, "7 days": 168, "30 days": 720}


class _Line:
    """One row on the screen, for whichever run is in it."""

    def __init__(self, full: w.Layout, on_open: Callable[[str], None]) -> None:
        self.session_id = ""
        self._html = w.HTML(layout=full)
        self.button = button("", lambda: on_open(self.session_id), "100%")
        self.button.add_class("rbc-open")
        self.widget = w.Box([self._html, self.button], layout=full)
        self.widget.add_class("rbc-line")

    def show(self, found: Row, overview: Overview) -> None:
        """Show a run."""
        self.session_id = found.session_id
        self._html.value = row(found, overview.as_of)
        # Not seen, but read out.
        self.button.description = f"Open {found.word} run {found.session_id[:8]}"


class Listing:
    """Shows the rows of an overview that the filters let through."""

    def __init__(
        self,
        on_open: Callable[[str], None],
        on_refresh: Callable[[], None],
        on_span: Callable[[timedelta], None],
        span: timedelta,
    ) -> None:
        self._overview: Overview | None = None
        self._page = 0
        self._on_open = on_open
        full = w.Layout(width="100%", margin="0")
        self._full = full
        self._lines: list[_Line] = []
        self._make_filters(on_refresh, on_span, span)
        self._make_pager()
        heading_widget = w.HTML(heading(), layout=full)
        heading_widget.add_class("rbc-full")
        self._nothing = w.HTML(layout=full)
        self._rows = w.VBox(layout=full)
        self.widget = w.VBox([self._filters, heading_widget, self._rows, self._pager], layout=full)

    def _make_filters(
        self, on_refresh: Callable[[], None], on_span: Callable[[timedelta], None], span: timedelta
    ) -> None:
        narrow = w.Layout(width="auto", min_width="110px")
        hours = round(span.total_seconds() / 3600)
        spans = SPANS | ({} if hours in SPANS.values() else {f"{hours} hours": hours})
        self._word = w.Dropdown(options=[("any status", "")], layout=narrow, tooltip="Status")
        self._workflow = w.Dropdown(options=[("any workflow", "")], layout=narrow, tooltip="Workflow")
        self._text = w.Text(
            placeholder="text in prompt, error or id",
            layout=w.Layout(flex="1 1 160px", width="auto", max_width="360px"),
            tooltip="Text",
        )
        chosen = w.Dropdown(options=[*spans.items()], value=hours, layout=narrow, tooltip="How far back")
        refresh = button("Refresh", on_refresh, "100px", icon="refresh")
        for filter_ in (self._word, self._workflow, self._text):
            filter_.observe(self._filtered, "value")

        def chose(change: Any) -> None:
            on_span(timedelta(hours=change["new"]))

        chosen.observe(chose, "value")
        self._filters = w.HBox(
            [self._word, self._workflow, self._text, chosen, refresh], layout=w.Layout(flex_flow="row wrap")
        )

    def _make_pager(self) -> None:
        self._newer = button("Newer", lambda: self._turn(-1), "90px", icon="chevron-left")
        self._older = button("Older", lambda: self._turn(1), "90px", icon="chevron-right")
        self._place = w.HTML()
        self._pager = w.HBox([self._newer, self._place, self._older], layout=w.Layout(align_items="center"))

    def show(self, overview: Overview) -> None:
        """Show an overview."""
        self._overview = overview
        _offer(self._word, "any status", ["failed", *overview.words] if overview.failed else overview.words)
        _offer(self._workflow, "any workflow", overview.workflows)
        self._show()

    def focus(self, session_id: str) -> None:
        """Move the keyboard's focus to a run, if it is on the screen."""
        for line in self._lines:
            if line.session_id == session_id:
                line.button.focus()

    def _filtered(self, _change: Any) -> None:
        self._page = 0
        self._show()

    def _turn(self, pages: int) -> None:
        self._page += pages
        self._show()

    def _show(self) -> None:
        overview = self._overview
        if overview is None:
            return
        found = overview.only(self._word.value or "", self._workflow.value or "", self._text.value)
        last = max(0, (len(found) - 1) // PAGE_ROWS)
        self._page = min(max(self._page, 0), last)
        first = self._page * PAGE_ROWS
        rows = found[first : first + PAGE_ROWS]
        while len(self._lines) < len(rows):
            self._lines.append(_Line(self._full, self._on_open))
        for line, shown in zip(self._lines, rows, strict=False):
            line.show(shown, overview)
        self._nothing.value = nothing(overview)
        wanted = [line.widget for line in self._lines[: len(rows)]] or [self._nothing]
        if list(self._rows.children) != wanted:
            self._rows.children = wanted
        self._newer.disabled, self._older.disabled = self._page == 0, self._page == last
        self._place.value = block(f"{first + 1 if rows else 0} to {first + len(rows)} of {len(found)}, newest first")


def _offer(choice: Any, anything: str, values: list[str]) -> None:
    """Offer values and what was chosen before, even if there is none of it any more."""
    offered: list[str] = list(dict.fromkeys([*values, *([choice.value] if choice.value else [])]))
    options = [(anything, ""), *((shortened(visible(value), 60), value) for value in offered)]
    if list(choice.options) != options:
        chosen = choice.value
        with choice.hold_trait_notifications():
            choice.options = options
            choice.value = chosen or ""
