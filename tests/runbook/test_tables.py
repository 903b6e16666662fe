"""What lists of records have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from runbook.tables import SHOWN_ROWS, Table, shortened


@dataclass(frozen=True)
class Cloud:
    """A record."""

    name: str
    metres: int
    note: str | None = None


class Clouds(Table[Cloud]):
    """A table."""

    columns: ClassVar[Mapping[str, str]] = {"name": "str", "metres": "int", "note": "object"}


def test_a_table_is_a_sequence_whose_slices_are_tables() -> None:
    clouds = Clouds([Cloud("cirrus", 9000), Cloud("stratus", 500)])
    assert clouds[-1] == Cloud("stratus", 500)
    assert isinstance(clouds[:1], Clouds)
    assert [cloud.name for cloud in clouds[:1]] == ["cirrus"]


def test_a_frame_has_all_columns_even_without_rows() -> None:
    assert list(Clouds([]).to_frame().columns) == ["name", "metres", "note"]


def test_a_table_shows_itself_in_aligned_columns() -> None:
    assert repr(Clouds([Cloud("cirrus", 9000, "thin"), Cloud("stratus", 500)])) == "\n".join(
        ["<Clouds: 2>", "name     metres  note", "cirrus   9000    thin", "stratus  500"]
    )
    assert repr(Clouds([])) == "<Clouds: none>"


def test_what_people_wrote_is_text_in_a_notebook() -> None:
    html = Clouds([Cloud("<script>alert(1)</script>", 1)])._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert Clouds([])._repr_html_() == "<p><em>none</em></p>"


def test_text_that_no_encoding_takes_is_shown_all_the_same_and_becomes_a_frame() -> None:
    clouds = Clouds([Cloud("half \ud800 \x1b[31m \u202e 😀", 1, "\udfff")])
    assert repr(clouds).encode()
    assert clouds._repr_html_().encode()
    assert "\x1b" not in repr(clouds) + clouds._repr_html_()
    frame = clouds.to_frame()
    assert frame["name"].tolist() == ["half \ufffd \x1b[31m \u202e 😀"]
    assert frame.to_csv().encode()


def test_a_long_table_shows_its_beginning_and_says_so() -> None:
    clouds = Clouds([Cloud(f"cloud {number}", number) for number in range(SHOWN_ROWS + 5)])
    assert repr(clouds).endswith("… and 5 more")
    assert clouds._repr_html_().endswith("<p>… and 5 more</p>")


def test_long_text_is_cut_on_one_line() -> None:
    assert shortened("a\n b  c", 80) == "a b c"
    assert shortened("x" * 200, 10) == "x" * 9 + "…"
