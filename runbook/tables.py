"""What all lists of records have in common: they are sequences, become a pandas frame or JSON, and show themselves.

A frame and JSON are for computing and have everything; what is shown is for reading and leaves out what doesn't fit.
"""

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from html import escape
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from runbook.plain_text import visible, whole
from runtime.journal.timestamps import to_timestamp

if TYPE_CHECKING:
    from pandas import DataFrame

T = TypeVar("T")
UTC_TIME = "datetime64[ms, UTC]"
WHOLE_NUMBER = "Int64"
SHOWN_ROWS = 60
SHOWN_CHARACTERS = 120


class Terminal(Enum):
    """Where a terminal shows a column."""

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
    """

    name: str
    dtype: str | None = "object"
    heading: str = ""
    terminal: Terminal | None = None
    read: Callable[[T], Any] | None = None
    text: Callable[[Any], str] = text_of
    style: Callable[[T], str] = _no_style

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
    """Records of one kind, read-only."""

    columns: Sequence[Column[T]]

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
        columns, rows, rest = self._shown()
        table = [[column.heading for column in columns], *rows]
        widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
        lines = ["  ".join(map(str.ljust, cells, widths)).rstrip() for cells in table]
        return "\n".join([f"<{type(self).__name__}: {len(self)}>", *lines, *([rest] if rest else [])])

    def _repr_html_(self) -> str:
        if not self:
            return "<p><em>none</em></p>"
        columns, rows, rest = self._shown()
        head = "".join(f'<th style="text-align:left">{escape(column.heading)}</th>' for column in columns)
        body = "".join(f"<tr>{''.join(map(_cell, columns, cells))}</tr>" for cells in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" + (
            f"<p>{rest}</p>" if rest else ""
        )

    def _shown(self) -> tuple[list[Column[T]], list[list[str]], str]:
        """The columns for readers, their cells, and how much is left out."""
        columns = [column for column in self.columns if column.heading]
        rows = [[shortened(column.shown(record)) for column in columns] for record in self._records[:SHOWN_ROWS]]
        return columns, rows, f"… and {len(self) - SHOWN_ROWS} more" if len(self) > SHOWN_ROWS else ""


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_timestamp(value)
    return list(value) if isinstance(value, tuple) else value


def _storable(value: Any) -> Any:
    if isinstance(value, tuple):
        return text_of(value)
    return whole(value) if isinstance(value, str) else value


def _cell(column: Column[Any], text: str) -> str:
    # Ids, times and numbers stay in one piece; what people wrote may wrap.
    piece = "white-space:nowrap;" if " " not in text or len(text) <= 24 else ""
    return f'<td style="text-align:{"right" if column.is_number else "left"};{piece}">{escape(text)}</td>'
