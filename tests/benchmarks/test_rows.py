import json
from typing import Any

import pytest

from benchmarks.report import table
from benchmarks.rows import Row, Verdict, ratio_row
from benchmarks.samples import Samples


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("r", 1.1, target=1.1), Verdict.MET),
        (Row("r", 1.11, target=1.1), Verdict.MISSED),
        (Row("r", 999, target=1000, at_least=True), Verdict.MISSED),
        (Row("r", 1000, target=1000, at_least=True), Verdict.MET),
        (Row("r", 0, target=0), Verdict.MET),
        (Row("r", 5), Verdict.PRINTED),
        (Row("r", None, target=1), Verdict.FAILED),
    ],
)
def test_the_verdict_is_the_figure_against_the_target(row: Row, verdict: Verdict) -> None:
    assert row.verdict is verdict


def test_a_ratio_compares_medians() -> None:
    ours, baseline = Samples.of([1, 2, 90]), Samples.of([1, 1, 90])
    assert ratio_row("r", ours, baseline, target=1.5, baseline_is="f").figure == 2


def test_a_ratio_of_worst_cases_compares_the_worst() -> None:
    ours, baseline = Samples.of([1, 2, 90]), Samples.of([1, 1, 30])
    assert ratio_row("r", ours, baseline, target=5, baseline_is="f", percent=100).figure == 3


def test_a_row_can_be_kept_as_json_with_its_verdict() -> None:
    kept = json.loads(json.dumps(Row("r", 2.0, target=1.0, measured={"s": Samples.of([1.0])}).as_json()))
    assert kept["verdict"] == "MISSED"
    assert kept["measured"]["s"]["n"] == 1


def shown(*rows: Row) -> str:
    return table([row.as_json() for row in rows])


def test_every_row_is_a_line_of_the_table_with_target_and_verdict() -> None:
    lines = shown(Row("first", 1.234, target=1.5), Row("second", 7, "s")).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:5]] == ["first", "1.23 x", "<= 1.5", "met"]
    assert [cell.strip() for cell in lines[3].split("|")[1:5]] == ["second", "7 s", "", "-"]
    assert len({len(line) for line in lines[:4]}) == 1


def test_a_row_that_misses_stays_visible_with_its_reason() -> None:
    told = shown(Row("slow", 3, target=1, reason="it has to"))
    assert "MISSED: slow: it has to" in told


def test_a_miss_that_nobody_has_explained_says_so() -> None:
    assert "MISSED: slow: no reason is known yet" in shown(Row("slow", 3, target=1))


def test_a_row_that_was_met_is_not_explained() -> None:
    assert "because" not in shown(Row("fast", 1, target=3, reason="because"))


def test_samples_are_shown_with_least_and_greatest() -> None:
    row: Any = Row("r", 1.0, measured={"s": Samples.of([0.5, 1.0, 2500.0]), "note": "text"})
    assert "s: 1 (0.5 to 2,500), n 3; note: text" in shown(row)
