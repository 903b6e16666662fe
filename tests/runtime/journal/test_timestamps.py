from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.journal.timestamps import from_timestamp, to_timestamp, utc_now

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def test_a_timestamp_has_milliseconds_and_a_z() -> None:
    moment = datetime(2026, 11, 22, 20, 21, 26, 123_456, UTC)
    assert to_timestamp(moment) == "2026-11-22T20:21:26.123Z"


def test_a_full_second_has_milliseconds_too() -> None:
    assert to_timestamp(datetime(2026, 11, 22, tzinfo=UTC)) == "2026-11-22T00:00:00.000Z"


def test_another_time_zone_is_written_as_utc() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert to_timestamp(datetime(2026, 11, 23, 5, 0, tzinfo=tokyo)) == "2026-11-22T20:00:00.000Z"


def test_the_clock_is_in_utc() -> None:
    assert utc_now().tzinfo is UTC


@settings(max_examples=100, derandomize=True, database=None)
@given(MOMENTS, MOMENTS)
def test_timestamps_sort_as_text_like_their_moments(one: datetime, other: datetime) -> None:
    earlier, later = sorted((one, other))
    assert to_timestamp(earlier) <= to_timestamp(later)
    assert abs(from_timestamp(to_timestamp(one)) - one) < timedelta(milliseconds=1)


def test_what_is_read_is_in_utc() -> None:
    assert from_timestamp("2026-11-23T05:00:00+09:00").isoformat() == "2026-11-22T20:00:00+00:00"


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2026-11-22", "2026-11-22T20:21:26.123", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+23:59"],
)
def test_a_text_that_is_no_moment_with_a_time_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        from_timestamp(text)
