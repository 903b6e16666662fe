"""What lists of records have in common."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime

from runbook.render import console
from runbook.render_tables import Lines
from runbook.tables import HEAD_ROWS, SHOWN_ROWS, UTC_TIME, Column, Table, Terminal, shortened

SEEN_AT = datetime(2026, 11, 22, 20, 21, tzinfo=UTC)


@dataclass(frozen=True)
class Cloud:
    """A record."""

    name: str
    metres: int
    note: str | None = None


class Clouds(Table[Cloud]):
    """A table."""

    columns = (
        Column("name", "str", "name", Terminal.LINE),
        Column("metres", "int", "metres", Terminal.LINE),
        Column("note", heading="note", terminal=Terminal.BELOW),
    )


def test_a_table_is_a_sequence_whose_slices_are_tables() -> None:
    clouds = Clouds([Cloud("cirrus", 9000), Cloud("stratus", 500)])
    assert clouds[-1] == Cloud("stratus", 500)
    assert isinstance(clouds[:1], Clouds)
    assert [cloud.name for cloud in clouds[:1]] == ["cirrus"]


class Seen(Clouds):
    """The same with one more column."""

    columns = (
        *Clouds.columns,
        Column("seen_at", UTC_TIME, "seen (UTC)", Terminal.LINE, read=lambda _: SEEN_AT),
    )


def on_a_terminal(clouds: Clouds) -> list[str]:
    """The lines that a terminal shows."""
    file = io.StringIO()
    console(file).print(Lines(clouds))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_column_is_one_line_for_frame_json_notebook_and_terminal() -> None:
    seen = Seen([Cloud("cirrus", 9000, "thin")])
    assert seen.to_frame()["seen_at"].dt.hour.tolist() == [20]
    assert seen.to_json() == [{"name": "cirrus", "metres": 9000, "note": "thin", "seenAt": "2026-11-22T20:21:00.000Z"}]
    assert '<td style="text-align:left;white-space:nowrap">2026-11-22 20:21:00</td>' in seen._repr_html_()
    assert '<tr><td colspan="3" style="text-align:left;padding-left:2em">thin</td></tr>' in seen._repr_html_()
    assert on_a_terminal(seen) == [
        "name    metres  seen (UTC)",
        "cirrus    9000  2026-11-22 20:21:00",
        "  thin",
    ]


def test_columns_come_closer_together_where_they_would_not_fit_otherwise() -> None:
    assert on_a_terminal(Seen([Cloud("c" * 52, 9000)]))[1] == f"{'c' * 52}   9000 2026-11-22 20:21:00"


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
    assert Clouds([])._repr_html_() == "<p><em>None.</em></p>"


def test_a_dollar_is_no_formula_in_a_notebook() -> None:
    assert Clouds([Cloud("$5 to $x^2$", 1)])._repr_html_().startswith('<table class="mathjax_ignore tex2jax_ignore">')


def test_text_that_no_encoding_takes_is_shown_all_the_same_and_becomes_a_frame() -> None:
    clouds = Clouds([Cloud("half \ud800 \x1b[31m \u202e 😀", 1, "\udfff")])
    assert repr(clouds).encode()
    assert clouds._repr_html_().encode()
    assert "\x1b" not in repr(clouds) + clouds._repr_html_()
    frame = clouds.to_frame()
    assert frame["name"].tolist() == ["half \ufffd \x1b[31m \u202e 😀"]
    assert frame.to_csv().encode()


class NewestFirst(Clouds):
    """The same, shown the other way round."""

    newest_first = True


def test_a_long_table_keeps_its_head_and_its_end() -> None:
    clouds = Clouds([Cloud(f"cloud {number}", number) for number in range(SHOWN_ROWS + 5)])
    lines = repr(clouds).splitlines()
    assert len(lines) == SHOWN_ROWS + 3
    assert lines[HEAD_ROWS + 1 :][:3] == ["cloud 19  19", "… 5 more …", "cloud 25  25"]
    assert lines[-1].startswith("cloud 64")
    html = clouds._repr_html_()
    assert html.index("cloud 19") < html.index("… 5 more …") < html.index("cloud 25") < html.index("cloud 64")


def test_where_the_newest_comes_first_the_oldest_are_left_out() -> None:
    clouds = NewestFirst([Cloud(f"cloud {number}", number) for number in range(85)])
    lines = repr(clouds).splitlines()
    assert (lines[2], lines[-2], lines[-1]) == ("cloud 84  84", "cloud 25  25", "… and 25 older")
    assert clouds[-1].metres == 84
    assert "cloud 84" in clouds._repr_html_()
    assert "cloud 24<" not in clouds._repr_html_()


class Folded(Clouds):
    """With a note that is long."""

    columns = (*Clouds.columns[:2], Column("note", heading="note", terminal=Terminal.BELOW, folded=True))


def test_long_text_is_folded_in_a_notebook() -> None:
    folded = Folded([Cloud("cirrus", 9000, "thin\n<b>and</b> high"), Cloud("stratus", 500)])
    assert folded._repr_html_().count("<details>") == 1
    assert "<summary>note</summary><pre>thin\n&lt;b&gt;and&lt;/b&gt; high</pre>" in folded._repr_html_()
    assert "thin" not in repr(folded)


def test_long_text_is_cut_on_one_line() -> None:
    assert shortened("a\n b  c", 80) == "a b c"
    assert shortened("x" * 200, 10) == "x" * 9 + "…"
