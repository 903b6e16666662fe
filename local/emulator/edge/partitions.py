"""DynamoDB's condition key `dynamodb:LeadingKeys`, the partition that a request is about, which ministack leaves out.

Of a put, a get and a check it is the item's; of a query that of its first comparison, on an index the index's. Any
other request has none, as on AWS a scan.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
"""

from __future__ import annotations

import json
import re
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.services import dynamodb

from local.emulator.edge.replacing import replace

KEY = "dynamodb:LeadingKeys"
_FIRST_COMPARISON = re.compile(r"=\s*(:\w+)")


class _Checked(str):
    """An action that is checked, with the partition of the one item in a transaction that it is for."""

    __slots__ = ("of_item",)
    of_item: str | None


def install() -> None:
    """Have conditions see partitions: of single requests, and of each item in a transaction."""
    replace(iam_actions, "dynamodb_service_context", _of_a_request)
    replace(iam_actions, "dynamodb_transaction_checks", _of_items, "for member, action in _DYNAMODB_TRANSACT_ITEM_ACTI")
    replace(iam_evaluator, "enforce", _seen)


def _of_a_request(original: Any) -> Any:
    def context(body: bytes) -> dict[str, Any]:
        partition = _partition(_parsed(body))
        return original(body) | ({KEY: [partition]} if partition is not None else {})

    return context


def _of_items(original: Any) -> Any:
    def checks(iam_action: str, body: bytes, region: str, account_id: str) -> list[tuple[str, str]]:
        found = original(iam_action, body, region, account_id)
        items = _parsed(body).get("TransactItems", []) if found else []
        details = [each for item in items if isinstance(item, dict) for each in item.values()]
        # Where ministack checks otherwise than item by item, none of them has a partition.
        partitions = [_partition(detail) for detail in details] if len(details) == len(found) else [None] * len(found)
        return [(_checked(action, partition), arn) for (action, arn), partition in zip(found, partitions, strict=True)]

    return checks


def _checked(action: str, partition: str | None) -> str:
    checked = _Checked(action)
    checked.of_item = partition
    return checked


def _seen(original: Any) -> Any:
    def enforce(access_key_id: str, iam_action: str, *others: Any, **options: Any) -> Any:
        if isinstance(iam_action, _Checked) and iam_action.of_item is not None:
            options["service_context"] = options["service_context"] | {KEY: [iam_action.of_item]}
        return original(access_key_id, iam_action, *others, **options)

    return enforce


def _partition(request: dict[str, Any]) -> str | None:
    if compared := _FIRST_COMPARISON.search(str(request.get("KeyConditionExpression", ""))):
        return _text((request.get("ExpressionAttributeValues") or {}).get(compared[1]))
    # By name or by ARN.
    name = str(request.get("TableName")).rpartition("/")[2]
    table = dynamodb._tables.get(name)
    item = request.get("Item") or request.get("Key")
    return _text(item.get(table["pk_name"])) if table and isinstance(item, dict) else None


def _text(value: Any) -> str | None:
    return next(iter(value.values()), None) if isinstance(value, dict) else None


def _parsed(body: bytes) -> dict[str, Any]:
    # What isn't JSON, ministack refuses later.
    try:
        parsed = json.loads(body or b"{}")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
