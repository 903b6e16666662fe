"""DynamoDB refuses expressions that the emulators take: reserved words without an alias, key attributes in a filter."""

import re
from itertools import chain

import pytest

from tests.support.dynamodb_expressions import RESERVED_WORDS, ROOT, Expression, expressions

SOURCES = [path for folder in ("runtime", "runbook", "components") for path in sorted((ROOT / folder).rglob("*.py"))]
FOUND = list(chain.from_iterable(map(expressions, SOURCES)))
KEYS = {"PK", "SK", "day", "createdAt"}
"""Of the table and of its index by day: `components/journal_table.py`."""


@pytest.mark.parametrize("found", FOUND, ids=lambda found: f"{found.place}-{found.kind}")
def test_an_expression_names_no_reserved_word_without_an_alias(found: Expression) -> None:
    assert not {name for name in found.names if name.upper() in RESERVED_WORDS}, found.text


def test_no_filter_looks_at_a_key() -> None:
    filters = [found for found in FOUND if found.kind == "FilterExpression"]
    # By an alias neither: `#day` is taken for `day`.
    assert not [found for found in filters if KEYS & set(re.findall(r"\w+", found.text))]


def test_the_journal_s_expressions_are_found() -> None:
    kinds = {(found.place.split(":")[0], found.kind) for found in FOUND}
    assert kinds >= {
        ("runtime/journal/writer.py", "ConditionExpression"),
        ("runtime/journal/reader.py", "KeyConditionExpression"),
        ("components/workflow_definition.py", "KeyConditionExpression"),
        ("components/workflow_records.py", "ConditionExpression"),
    }


def test_names_are_told_from_values_aliases_and_functions() -> None:
    text = "#day = :day AND begins_with(SK, :event) OR (attempt IN (:a, :b)) AND size (detail) < :n"
    assert Expression("", "", text).names == {"SK", "attempt", "detail"}
    assert {"DAY", "STATUS", "DATA", "TTL"} <= RESERVED_WORDS
    assert len(RESERVED_WORDS) == 573
