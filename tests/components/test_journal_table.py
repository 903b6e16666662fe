"""The journal's table."""

from __future__ import annotations

from tests.support.pulumi_program import deployed

TABLE = deployed("dev").one("Table").inputs


def test_records_are_found_by_session_and_in_order() -> None:
    assert (TABLE["hashKey"], TABLE["rangeKey"]) == ("PK", "SK")


def test_runs_are_found_by_day_without_a_scan() -> None:
    [index] = TABLE["globalSecondaryIndexes"]
    assert index["name"] == "by-day"
    assert index["projectionType"] == "ALL"
    assert [(key["attributeName"], key["keyType"]) for key in index["keySchemas"]] == [
        ("day", "HASH"),
        ("createdAt", "RANGE"),
    ]


def test_only_attributes_of_keys_are_declared() -> None:
    # DynamoDB refuses a table that declares any other.
    assert {attribute["name"] for attribute in TABLE["attributes"]} == {"PK", "SK", "day", "createdAt"}


def test_records_expire_and_can_be_restored() -> None:
    assert TABLE["ttl"] == {"attributeName": "expiresAt", "enabled": True}
    assert TABLE["pointInTimeRecovery"] == {"enabled": True}
    assert TABLE["billingMode"] == "PAY_PER_REQUEST"


def test_the_table_keeps_a_name_of_its_own_from_one_deployment_to_the_next() -> None:
    # A fixed name would make every replacement fail: the old table still has it.
    assert "name" not in TABLE
