"""What all lists of records have in common: they are sequences, become a pandas frame, and show themselves.

A frame is for computing and has everything; what is shown is for reading and leaves out what doesn't fit.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, overload

from runbook.plain_text import visible, whole

if TYPE_CHECKING:
    from pandas import DataFrame

T = TypeVar("T")
UTC_TIME = "datetime64[ms, UTC]"
WHOLE_NUMBER = "Int64"
SHOWN_ROWS = 60
SHOWN_CHARACTERS = 120


def shortened(text: str, most: int = SHOWN_CHARACTERS) -> str:
    """Return the beginning of a text on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else f"{flat[: most - 1]}…"


class Table(Sequence[T], Generic[T]):
    """Records of one kind, read-only.

    :cvar columns: the columns of the frame, each with its pandas type
    """

    columns: ClassVar[Mapping[str, str]]

    def __init__(self, records: Iterable[T]) -> None:
        self._records = tuple(records)

    def row(self, record: T) -> Mapping[str, Any]:
        """Return a record's values by column. By default they are the attributes of these names."""
        return {name: getattr(record, name) for name in self.columns}

    def shown(self, record: T) -> Mapping[str, Any]:
        """Return what a reader sees of a record, by heading."""
        return self.row(record)

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

        rows = [{name: _storable(value) for name, value in self.row(record).items()} for record in self._records]
        return pd.DataFrame(rows, columns=list(self.columns)).astype(dict(self.columns))

    def __repr__(self) -> str:
        rows, rest = self._shown_rows()
        if not rows:
            return f"<{type(self).__name__}: none>"
        texts = [dict(zip(row, map(_text, row.values()), strict=True)) for row in rows]
        widths = {name: max(len(name), *(len(row[name]) for row in texts)) for name in rows[0]}
        lines = [{name: name for name in widths}, *texts]
        shown = ["  ".join(f"{row[name]:{width}}" for name, width in widths.items()).rstrip() for row in lines]
        return "\n".join([f"<{type(self).__name__}: {len(self)}>", *shown, *([rest] if rest else [])])

    def _repr_html_(self) -> str:
        rows, rest = self._shown_rows()
        if not rows:
            return "<p><em>none</em></p>"
        head = "".join(f'<th style="text-align:left">{escape(name)}</th>' for name in rows[0])
        body = "".join(f"<tr>{''.join(map(_cell, row.values()))}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" + (
            f"<p>{rest}</p>" if rest else ""
        )

    def _shown_rows(self) -> tuple[list[Mapping[str, Any]], str]:
        rest = f"… and {len(self) - SHOWN_ROWS} more" if len(self) > SHOWN_ROWS else ""
        return [self.shown(record) for record in self._records[:SHOWN_ROWS]], rest


def _text(value: Any) -> str:
    return "" if value is None else visible(shortened(str(value)))


def _storable(value: Any) -> Any:
    return whole(value) if isinstance(value, str) else value


def _cell(value: Any) -> str:
    text = _text(value)
    # Ids, times and numbers stay in one piece; what people wrote may wrap.
    piece = "white-space:nowrap;" if " " not in text or len(text) <= 24 else ""
    return f'<td style="text-align:{"right" if isinstance(value, int | float) else "left"};{piece}">{escape(text)}</td>'
