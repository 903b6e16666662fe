from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from runtime.journal.vocabulary import Status
from runtime.journal.wire import deserialize, serialize

EVERY_TYPE: dict[str, Any] = {
    "text": "é",
    "yes": True,
    "one": 1,
    "large": 10**30,
    "nothing": None,
    "list": [[], {}, "", 0, False],
    "map": {"inner": {"a": 1}},
}


def test_values_are_written_as_botos_own_serializer_writes_them() -> None:
    assert serialize(EVERY_TYPE) == TypeSerializer().serialize(EVERY_TYPE)


def test_values_are_read_as_botos_own_deserializer_reads_them() -> None:
    written: Any = serialize(EVERY_TYPE)
    assert deserialize(written) == TypeDeserializer().deserialize(written)


@pytest.mark.parametrize("number", [0.1, -2.5, 1e-7, 1e22])
def test_a_float_is_written_so_that_it_comes_back_exactly(number: float) -> None:
    assert deserialize(serialize(number)) == number


def test_a_status_is_written_as_plain_text() -> None:
    written = serialize(Status.SESSION_FAILED)
    assert written == {"S": "SESSION_FAILED"}
    assert type(written["S"]) is str


@pytest.mark.parametrize("value", [b"bytes", {1, 2}, object()])
def test_what_json_does_not_have_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="is not a JSON value"):
        serialize(value)


def test_a_type_that_the_journal_does_not_write_is_refused() -> None:
    with pytest.raises(ValueError, match="DynamoDB's type SS"):
        deserialize({"SS": ["a"]})
