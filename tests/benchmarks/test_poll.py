from benchmarks.poll import item_bytes, query, read_units, rows
from benchmarks.rows import Verdict


def test_an_items_size_is_its_names_and_values() -> None:
    assert item_bytes({"PK": {"S": "abc"}}) == 5
    assert item_bytes({"n": {"N": "1234"}}) == 4
    assert item_bytes({"m": {"M": {"a": {"S": "é"}}}}) == 1 + 3 + 1 + 1 + 2
    assert item_bytes({"b": {"BOOL": True}}) == 2


def test_read_units_are_counted_over_all_items_of_a_query() -> None:
    small = {"PK": {"S": "x" * 200}}
    assert read_units([small] * 20) == 1
    assert read_units([small] * 21) == 2


def test_the_query_is_the_deployed_machines_with_a_runs_values() -> None:
    assert query("abc")["ExpressionAttributeValues"][":pk"] == {"S": "SESSION#abc"}


def test_a_poll_is_bounded_and_sees_the_end() -> None:
    items, _, found = rows((10, 60))
    assert items.verdict is found.verdict is Verdict.MET
    assert items.measured == {"10 events": 10, "60 events": 23}
