from datetime import UTC, datetime
from typing import Any

import pytest

from runtime.contract.errors import InvalidRequest
from runtime.contract.start import Start, attempt_of, parse_start, start_payload

SESSION = "6a7e8feb-b491-4cf7-a9f1-bf3703467718"
REQUEST = {"prompt": "Why?", "customer": 7}
LATER = start_payload(SESSION, 2, REQUEST, seconds_left=12.5, after="2026-11-22T20:21:26.123Z")


def test_a_start_is_read_as_it_was_written_and_the_request_goes_on_as_it_is() -> None:
    after = datetime(2026, 11, 22, 20, 21, 26, 123_000, UTC)
    assert parse_start(LATER, 3) == Start(SESSION, 2, REQUEST, seconds_left=12.5, after=after)
    assert parse_start(start_payload(SESSION, 1, REQUEST, None, None), 3) == Start(SESSION, 1, REQUEST)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"session_id": "short"}, "session_id is 'short'"),
        ({"attempt": 4}, "attempt is 4: it must be a whole number from 1 to 3"),
        ({"secondsLeft": "60"}, "secondsLeft is '60' (2 characters): it must be null or a number of seconds"),
        ({"after": 7}, "after is 7: it must be null or a timestamp"),
        ({"request": {}}, "request.prompt is missing"),
    ],
)
def test_a_start_with_a_field_that_cannot_be_used_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_start(LATER | change, 3)
    assert str(refused.value).startswith(message)


def test_a_refused_start_belongs_to_its_attempt_where_that_is_one() -> None:
    assert attempt_of(LATER | {"request": None}, 3) == 2
    assert attempt_of(LATER | {"attempt": "2"}, 3) is None
