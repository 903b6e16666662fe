import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.journal.keys import attempt_sort_key, event_sort_key, partition_key, tool_sort_key, turn_prefix
from runtime.journal.records import (
    ERROR_BYTES,
    Event,
    RunMetadata,
    error_text,
    expiry,
    from_item,
    new_event_id,
    to_item,
)
from runtime.journal.vocabulary import Status

NOW = datetime(2026, 11, 22, 20, 21, 26, 123_000, UTC)
SMALL = Event(session_id="s" * 36, event_id="e", status="TASK_ANALYST_STARTED", created_at=NOW, expires_at=1)
FULL = Event(
    session_id="s" * 36,
    event_id="0000-e",
    status=Status.AGENT_BACKGROUND_TASK_FAILED,
    created_at=NOW,
    expires_at=1_800_000_000,
    attempt=2,
    environment_id="env",
    lease_expires_at=NOW + timedelta(seconds=120),
    step="analyst",
    item=3,
    turn=12,
    error_type="StepStopped",
    error_message="stopped",
    detail={"tokens": {"inputTokens": 12, "outputTokens": 0}, "seconds": 1.25, "list": [1, "two", None, True]},
)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(-1e9, 1e9).map(lambda x: round(x, 4))
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("event", [SMALL, FULL])
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    assert Event.from_item(event.to_item()) == event


def test_an_events_record_has_the_keys_and_names_of_the_design() -> None:
    assert FULL.to_item() == {
        "PK": {"S": f"SESSION#{'s' * 36}"},
        "SK": {"S": "EVENT#2026-11-22T20:21:26.123Z#0000-e"},
        "sessionId": {"S": "s" * 36},
        "eventId": {"S": "0000-e"},
        "status": {"S": "AGENT_BACKGROUND_TASK_FAILED"},
        "createdAt": {"S": "2026-11-22T20:21:26.123Z"},
        "expiresAt": {"N": "1800000000"},
        "attempt": {"N": "2"},
        "environmentId": {"S": "env"},
        "leaseExpiresAt": {"S": "2026-11-22T20:23:26.123Z"},
        "step": {"S": "analyst"},
        "item": {"N": "3"},
        "turn": {"N": "12"},
        "errorType": {"S": "StepStopped"},
        "errorMessage": {"S": "stopped"},
        "detail": {
            "M": {
                "tokens": {"M": {"inputTokens": {"N": "12"}, "outputTokens": {"N": "0"}}},
                "seconds": {"N": "1.25"},
                "list": {"L": [{"N": "1"}, {"S": "two"}, {"NULL": True}, {"BOOL": True}]},
            }
        },
    }


def test_what_does_not_apply_to_an_event_is_not_in_its_record() -> None:
    assert set(SMALL.to_item()) == {"PK", "SK", "sessionId", "eventId", "status", "createdAt", "expiresAt"}


def test_an_outcome_repeats_its_event_under_another_key_and_with_its_day() -> None:
    outcome = FULL.to_outcome_item()
    assert outcome["SK"] == {"S": "EVENT~OUTCOME"}
    assert outcome["day"] == {"S": "2026-11-22"}
    assert Event.from_item(outcome) == FULL


def test_an_event_is_in_no_day_of_the_index() -> None:
    assert "day" not in FULL.to_item()


def test_keys_are_spelled_as_in_the_design() -> None:
    assert partition_key("abc") == "SESSION#abc"
    assert event_sort_key("2026-11-22T20:21:26.123Z", "e1") == "EVENT#2026-11-22T20:21:26.123Z#e1"
    assert attempt_sort_key(3) == "ATTEMPT#3"
    assert tool_sort_key("mailer", None, 12, 0) == "TOOL#mailer#-#0012#00"
    assert tool_sort_key("mailer", 3, 12, 1) == "TOOL#mailer#0003#0012#01"
    assert turn_prefix("abc", "mailer", None) == "turns/abc/mailer/-/"
    assert turn_prefix("abc", "mailer", 3) == "turns/abc/mailer/0003/"
    assert turn_prefix("abc") == "turns/abc/"


def test_event_ids_of_one_process_sort_in_the_order_they_were_made() -> None:
    ids = [new_event_id() for _ in range(500)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 500


@pytest.mark.parametrize("release", ["this", "previous"])
def test_metadata_is_read_as_the_state_machine_writes_it(release: str) -> None:
    request = {"prompt": "Why?", "more": [1, None]}
    record = metadata_item(json.dumps(request))
    if release == "previous":
        record["limits"] = record.pop("bounds")
    assert RunMetadata.from_item(record) == RunMetadata(
        session_id="abc",
        created_at=NOW,
        expires_at=1_800_000_000,
        execution_arn="arn:aws:states:us-east-1:123456789012:execution:x:y",
        request=request,
        bounds={"maxRunSeconds": 60, "leaseSeconds": 6, "maxAttempts": 3},
    )


@pytest.mark.parametrize("text", ["bare text", "", "[" * 100_000, '{"prompt": ', "NaN of it"])
def test_a_stored_request_that_is_no_json_is_kept_as_text(text: str) -> None:
    assert RunMetadata.from_item(metadata_item(text)).request == text


def metadata_item(request: str) -> dict[str, Any]:
    """Return a metadata record as the state machine writes it."""
    return {
        "PK": {"S": "SESSION#abc"},
        "SK": {"S": "METADATA"},
        "sessionId": {"S": "abc"},
        "createdAt": {"S": "2026-11-22T20:21:26.123Z"},
        "expiresAt": {"N": "1800000000"},
        "day": {"S": "2026-11-22"},
        "executionArn": {"S": "arn:aws:states:us-east-1:123456789012:execution:x:y"},
        "request": {"S": request},
        "bounds": {"M": {"maxRunSeconds": {"N": "60"}, "leaseSeconds": {"N": "6"}, "maxAttempts": {"N": "3"}}},
    }


@pytest.mark.parametrize("character", ["x", "ä", "€", "😀"])
def test_an_error_text_is_cut_at_2_kb_between_characters(character: str) -> None:
    text = error_text(ValueError(character * 5000))
    assert set(text) == {character}
    assert ERROR_BYTES - 3 <= len(text.encode()) <= ERROR_BYTES


def test_an_error_without_a_text_is_shown_by_its_class() -> None:
    assert error_text(KeyError()) == "KeyError()"
    assert error_text(TimeoutError()) == "TimeoutError()"


def test_an_error_text_with_half_a_character_can_still_be_stored() -> None:
    assert error_text(ValueError("half \ud83d of it")) == "half ? of it"


def test_a_record_expires_the_days_of_the_stack_after_it_was_written() -> None:
    assert expiry(datetime(1970, 1, 2, tzinfo=UTC), 90) == 91 * 86_400


@settings(max_examples=100, derandomize=True, database=None)
@given(st.dictionaries(st.text(min_size=1), PLAIN, max_size=4))
def test_any_json_detail_comes_back_as_it_was(detail: dict[str, Any]) -> None:
    item = to_item("s", "EVENT#1", {"detail": detail})
    assert from_item(item)["detail"] == detail
