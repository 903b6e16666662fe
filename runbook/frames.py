"""A pandas frame as notebooks show every other table: without index and types, and safe whatever is in it."""

from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from runbook.tables import Column, Table, text_of

if TYPE_CHECKING:
    from pandas import DataFrame

Row = tuple[Any, ...]


class Frame(Table[Row]):
    """The rows of a frame, the first `SHOWN_ROWS` of which are shown."""

    def __init__(self, frame: "DataFrame", nothing: str = Table.nothing) -> None:
        super().__init__(_rows(frame))
        self.nothing = nothing
        self.columns = [
            Column(
                str(name),
                "float" if dtype.kind in "iuf" else "object",
                str(name).replace("_", " "),
                read=itemgetter(place),
                text=_text,
            )
            for place, (name, dtype) in enumerate(frame.dtypes.items())
        ]


def _rows(frame: "DataFrame") -> Iterator[Row]:
    blank = frame.isna()
    for values, missing in zip(frame.itertuples(index=False), blank.itertuples(index=False), strict=True):
        yield tuple(None if is_missing else value for value, is_missing in zip(values, missing, strict=True))


def _text(value: Any) -> str:
    return f"{value:,.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else text_of(value)
