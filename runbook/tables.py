"""What all lists of records have in common: they are sequences, become a pandas frame, and show themselves."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeVar, overload

if TYPE_CHECKING:
    from pandas import DataFrame

T = TypeVar("T")
UTC_TIME = "datetime64[ms, UTC]"
WHOLE_NUMBER = "Int64"
SHOWN_ROWS = 60


class Table(Sequence[T], Generic[T]):
    """Records of one kind, read-only.

    :cvar columns: the columns of the frame, each with its pandas type
    :cvar shown: those of them that a notebook shows; all if there are none
    """

    columns: ClassVar[Mapping[str, str]]
    shown: ClassVar[tuple[str, ...]] = ()

    def __init__(self, records: Iterable[T]) -> None:
        self._records = tuple(records)

    def row(self, record: T) -> Mapping[str, Any]:
        """Return a record's values by column. By default they are the attributes of these names."""
        return {name: getattr(record, name) for name in self.columns}

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

        rows = [self.row(record) for record in self._records]
        return pd.DataFrame(rows, columns=list(self.columns)).astype(dict(self.columns))

    def __repr__(self) -> str:
        head = f"<{type(self).__name__}: {len(self)}>"
        return "\n".join([head, self._shown_frame().to_string(index=False, max_rows=SHOWN_ROWS)]) if self else head

    def _repr_html_(self) -> str:
        frame = self._shown_frame()
        return str(frame.to_html(index=False, na_rep="", max_rows=SHOWN_ROWS))  # pyright: ignore[reportCallIssue]

    def _shown_frame(self) -> "DataFrame":
        frame = self.to_frame().drop(columns=[name for name in self.columns if self.shown and name not in self.shown])
        for name in frame.columns:
            if self.columns[name] == UTC_TIME:
                frame[name] = frame[name].dt.strftime("%Y-%m-%d %H:%M:%S.%f").str[:-3]
        return frame.astype(object).fillna("")
