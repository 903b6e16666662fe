"""What all lists of records have in common: they are sequences, become a pandas frame or JSON, and show themselves.

A frame and JSON are for computing and have everything; what is shown is for reading and leaves out what doesn't fit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from html import escape
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from runbook.plain_text import NO_FORMULAS, visible, whole
from runtime.journal.timestamps import to_timestamp

if TYPE_CHECKING:
    from pandas import DataFrame

T = TypeVar("T")
UTC_TIME = "datetime64[ms, UTC]"
WHOLE_NUMBER = "Int64"
SHOWN_ROWS = 60
HEAD_ROWS = 20
SHOWN_CHARACTERS = 120


class Terminal(Enum):
    """Where a terminal shows a column. What stands below has a line of its own in notebooks, too."""

    LINE = auto()
    WIDE = auto()
    """In the line if all columns fit into it, otherwise below."""
    BELOW = auto()


def shortened(text: str, max_characters: int = SHOWN_CHARACTERS) -> str:
    """Return the beginning of a text on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= max_characters else f"{flat[: max_characters - 1]}…"


def camel_case(name: str) -> str:
    """Return a Python name as JSON has it: `sessionId` for `session_id`."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def text_of(value: Any) -> str:
    """Return a value for readers: times to the second, several values with commas."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _no_style(_record: Any) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """One column: all that frame, JSON, notebook and terminal have to know of it.

    :ivar name: of the frame's column, in camel case of the JSON field
    :ivar dtype: the frame's pandas type; None for what only readers see
    :ivar heading: above it, for readers; notebooks show the columns that have one
    :ivar terminal: None if terminals don't show it
    :ivar read: reads its value from a record; if left out, the attribute of its name
    :ivar text: turns a value that is not None into what readers see
    :ivar style: a record's colour on terminals, as rich names them
    :ivar folded: long text that notebooks show only when its heading is clicked; for those below
    """

    name: str
    dtype: str | None = "object"
    heading: str = ""
    terminal: Terminal | None = None
    read: Callable[[T], Any] | None = None
    text: Callable[[Any], str] = text_of
    style: Callable[[T], str] = _no_style
    folded: bool = False

    @property
    def json_name(self) -> str:
        """The JSON field's name."""
        return camel_case(self.name)

    @property
    def is_number(self) -> bool:
        """Whether it is aligned to the right."""
        return self.dtype in ("int", "float", WHOLE_NUMBER)

    def value(self, record: T) -> Any:
        """Return its value of a record."""
        return self.read(record) if self.read else getattr(record, self.name)

    def shown(self, record: T) -> str:
        """Return what readers see of a record; an empty text if there is nothing."""
        value = self.value(record)
        return "" if value is None else visible(self.text(value))


class Table(Sequence[T], Generic[T]):
    """Records of one kind, read-only.

    :cvar newest_first: whether they are shown the other way round, and the first of them left out where there are many
    :cvar nothing: what is said in a notebook if there are none
    """

    columns: Sequence[Column[T]]
    newest_first = False
    nothing = "None."

    def __init__(self, records: Iterable[T]) -> None:
        self._records = tuple(records)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> T | Self:
        if isinstance(index, int):
            return self._records[index]
        part = copy(self)
        part._records = self._records[index]
        return part

    def __len__(self) -> int:
        return len(self._records)

    def to_frame(self) -> "DataFrame":
        """Return a pandas frame with a row for each record. Times are UTC, durations seconds."""
        import pandas as pd

        types = {column.name: column.dtype for column in self.columns if column.dtype}
        columns = [column for column in self.columns if column.dtype]
        rows = [[_storable(column.value(record)) for column in columns] for record in self._records]
        return pd.DataFrame(rows, columns=list(types)).astype(types)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the records as plain values."""
        columns = [column for column in self.columns if column.dtype]
        return [{column.json_name: _plain(column.value(record)) for column in columns} for record in self._records]

    def __repr__(self) -> str:
        if not self:
            return f"<{type(self).__name__}: none>"
        columns = [column for column in self.columns if column.heading and not column.folded]
        head = [column.heading for column in columns]
        rows = [row if isinstance(row, str) else [_short(column, row) for column in columns] for row in self._shown()]
        records = [row for row in rows if not isinstance(row, str)]
        widths = [max(map(len, texts)) for texts in zip(head, *records, strict=True)]
        lines = [row if isinstance(row, str) else _aligned(row, widths) for row in [head, *rows]]
        return "\n".join([f"<{type(self).__name__}: {len(self)}>", *lines])

    def _repr_html_(self) -> str:
        if not self:
            return f"<p><em>{escape(self.nothing)}</em></p>"
        columns = [column for column in self.columns if column.heading and column.terminal is not Terminal.BELOW]
        below = [column for column in self.columns if column.terminal is Terminal.BELOW]
        head = "".join(f'<th style="{_align(column)}">{escape(column.heading)}</th>' for column in columns)
        body = "".join(
            f'<tr><td colspan="{len(columns)}" style="text-align:left"><em>{escape(row)}</em></td></tr>'
            if isinstance(row, str)
            else _rows(columns, below, row)
            for row in self._shown()
        )
        # What people wrote may have dollars in it, which MathJax takes for formulas.
        return f'<table class="{NO_FORMULAS}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'

    def _readable(self) -> Sequence[T | str]:
        """All that readers would see: records, or a line in place of some."""
        return self._records[::-1] if self.newest_first else self._records

    def _shown(self) -> Iterator[T | str]:
        """What readers see, and a line for what is left out."""
        rows = self._readable()
        left_out = len(rows) - SHOWN_ROWS
        if left_out <= 0:
            yield from rows
        elif self.newest_first:
            yield from rows[:SHOWN_ROWS]
            yield f"… and {left_out} older"
        else:
            # Of what happens in time, the end matters most.
            yield from rows[:HEAD_ROWS]
            yield f"… {left_out} more …"
            yield from rows[HEAD_ROWS - SHOWN_ROWS :]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_timestamp(value)
    return list(value) if isinstance(value, tuple) else value


def _storable(value: Any) -> Any:
    if isinstance(value, tuple):
        return text_of(value)
    return whole(value) if isinstance(value, str) else value


def _aligned(texts: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(map(str.ljust, texts, widths)).rstrip()


def _short(column: Column[Any], record: Any) -> str:
    return shortened(column.shown(record))


def _align(column: Column[Any]) -> str:
    return f"text-align:{'right' if column.is_number else 'left'}"


def _rows(columns: Sequence[Column[Any]], below: Sequence[Column[Any]], record: Any) -> str:
    """A record's row, and a row for each text that needs the whole width."""
    cells = "".join(_cell(column, _short(column, record)) for column in columns)
    texts = [(column, text) for column in below if (text := column.shown(record))]
    wide = f'<td colspan="{len(columns)}" style="text-align:left;padding-left:2em">'
    return f"<tr>{cells}</tr>" + "".join(f"<tr>{wide}{_text(column, text)}</td></tr>" for column, text in texts)


def _text(column: Column[Any], text: str) -> str:
    if not column.folded:
        return escape(text)
    return f"<details><summary>{escape(column.heading)}</summary><pre>{escape(text)}</pre></details>"


def _cell(column: Column[Any], text: str) -> str:
    # Ids, times and numbers stay in one piece; what people wrote may wrap.
    piece = ";white-space:nowrap" if " " not in text or len(text) <= 24 else ""
    return f'<td style="{_align(column)}{piece}">{escape(text)}</td>'
