from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from runtime.contract.errors import InvalidRequest
from runtime.contract.fields import Fields, moment, optional, seconds, whole_number

Reader = Callable[[Fields, str], Any]
up_to_3: Reader = lambda fields, name: whole_number(fields, name, 3)  # noqa: E731
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reader", "value", "read"),
    [
        (up_to_3, 1, 1),
        (up_to_3, 3, 3),
        (seconds, 60, 60.0),
        (seconds, -0.5, -0.5),
        (seconds, 365 * 86_400, 31_536_000.0),
        (moment, "2026-11-22T12:00:00Z", NOON),
        (moment, "2026-11-22T13:00:00+01:00", NOON),
        (partial(optional, seconds), None, None),
        (partial(optional, seconds), 7, 7.0),
    ],
)
def test_a_field_is_read_as_what_it_is(reader: Reader, value: object, read: object) -> None:
    assert reader({"field": value}, "field") == read


@pytest.mark.parametrize(
    ("reader", "value", "was"),
    [
        (up_to_3, None, "missing"),
        (up_to_3, 0, "0"),
        (up_to_3, -1, "-1"),
        (up_to_3, 4, "4"),
        (up_to_3, 10**30, "1000"),
        (up_to_3, 1.0, "1.0"),
        (up_to_3, "1", "'1' (1 characters)"),
        (up_to_3, True, "True"),
        (up_to_3, [1], "a list"),
        (seconds, None, "missing"),
        (seconds, True, "True"),
        (seconds, "60", "'60' (2 characters)"),
        (seconds, float("nan"), "nan"),
        (seconds, 1e9, "1000000000.0"),
        (seconds, {}, "a dict"),
        (moment, None, "missing"),
        (moment, 1_800_000_000, "1800000000"),
        (moment, "soon", "'soon' (4 characters)"),
        (moment, "2026-11-22T20:21:26", "'2026-11-22T20:21:26' (19 characters)"),
        (moment, "0001-01-01T00:00:00+23:59", "'0001"),
        (moment, "9999-12-31T23:59:59Z", "'9999"),
    ],
)
def test_a_field_that_is_something_else_is_refused_with_what_it_was(reader: Reader, value: object, was: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        reader({"field": value}, "field")
    allowed = {
        up_to_3: "a whole number from 1 to 3",
        seconds: "a number of seconds, a year at most",
        moment: "a timestamp such as 2026-11-22T20:21:26.123Z",
    }[reader]
    assert str(refused.value).startswith(f"field is {was}")
    assert str(refused.value).endswith(f": it must be {allowed}")
    if value is not None:
        with pytest.raises(InvalidRequest, match="it must be null or a "):
            optional(reader, {"field": value}, "field")
