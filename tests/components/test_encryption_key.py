"""The stack's own key and who may use it."""

from __future__ import annotations

import json
from typing import Any

from tests.support.pulumi_program import ACCOUNT_ID, REGION, deployed

PROD = deployed("prod")
KEY = PROD.one("Key")
STATEMENTS: list[dict[str, Any]] = json.loads(KEY.inputs["policy"])["Statement"]


def statement(principal: str) -> dict[str, Any]:
    [found] = [s for s in STATEMENTS if principal in s["Principal"].values()]
    return found


def test_the_key_rotates_and_is_protected_as_the_data_is() -> None:
    assert KEY.inputs["enableKeyRotation"] is True
    assert KEY.inputs["deletionWindowInDays"] == 30
    assert KEY.options["protect"] is True
    assert KEY.options["retainOnDelete"] is True


def test_the_account_administers_the_key() -> None:
    assert statement(f"arn:aws:iam::{ACCOUNT_ID}:root")["Action"] == "kms:*"


def test_data_is_used_by_this_account_through_its_services_only() -> None:
    assert statement("*")["Condition"] == {
        "StringEquals": {
            "kms:CallerAccount": ACCOUNT_ID,
            "kms:ViaService": [f"{service}.{REGION}.amazonaws.com" for service in ("dynamodb", "s3", "sqs")],
        }
    }


def test_cloudwatch_uses_it_for_this_accounts_log_groups_only() -> None:
    logs = statement(f"logs.{REGION}.amazonaws.com")
    groups = f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:*"
    assert logs["Condition"] == {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}}


def test_eventbridge_uses_it_for_dead_letters_of_this_account_only() -> None:
    events = statement("events.amazonaws.com")
    assert events["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]
    assert events["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT_ID}}


def test_the_key_has_a_name_that_people_can_read() -> None:
    assert PROD.one("Alias").inputs["name"] == "alias/fire-and-forget-prod"
