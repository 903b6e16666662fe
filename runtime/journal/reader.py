"""The journal's reader: every query is paginated, nothing scans."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import TYPE_CHECKING, Any

from runtime.journal.claims import tool_claims
from runtime.journal.keys import (
    BY_DAY_INDEX,
    EVENT_PREFIX,
    METADATA,
    OUTCOME,
    WAIT_PREFIX,
    answer_key,
    partition_key,
    record_key,
    wait_sort_key,
)
from runtime.journal.records import Event, Item, RunMetadata, ToolClaim, from_item
from runtime.journal.waits import AnsweredWait, Wait

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

MAX_KEYS = 100
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html"""


class JournalReader:
    """Reads one journal table.

    :raises botocore.exceptions.ClientError: from every method, if the table refuses
    """

    def __init__(self, client: "DynamoDBClient", table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def events(self, session_id: str, *, after: str = "") -> Iterator[Event]:
        """Yield the events of a run in order (strongly consistent).

        :param after: an event's sort key: only later ones are read
        """
        for item in self._query(
            KeyConditionExpression="PK = :pk AND SK BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":pk": {"S": partition_key(session_id)},
                ":first": {"S": f"{after}\0" if after else EVENT_PREFIX},
                ":last": {"S": f"{EVENT_PREFIX}~"},
            },
            ConsistentRead=True,
        ):
            yield Event.from_item(item)

    def outcome(self, session_id: str) -> Event | None:
        """Return the terminal event of a run, or None while it has none (strongly consistent)."""
        item = self._get(session_id, OUTCOME)
        return Event.from_item(item) if item else None

    def metadata(self, session_id: str) -> RunMetadata | None:
        """Return what a run was asked to do, or None if it was never claimed (strongly consistent)."""
        item = self._get(session_id, METADATA)
        return RunMetadata.from_item(item) if item else None

    def tool_claims(self, session_id: str, step: str = "", item: int | None = None) -> Iterator[ToolClaim]:
        """Return a run's claimed calls of tools, or those of one step or item (strongly consistent)."""
        return tool_claims(self._client, self._table_name, session_id, step, item)

    def wait(self, session_id: str, number: int) -> Wait | None:
        """Return one of a run's waits, or None if it has not begun (strongly consistent)."""
        item = self._get(session_id, wait_sort_key(number))
        return Wait.from_item(item) if item else None

    def waits_of(self, session_id: str) -> Iterator[Wait]:
        """Yield what a run has waited for, answered or not, in order (strongly consistent)."""
        return self._waits_of(session_id)

    def newest_wait(self, session_id: str) -> Wait | None:
        """Return what a run has waited for last, answered or not, or None (strongly consistent)."""
        return next(self._waits_of(session_id, ScanIndexForward=False, Limit=1), None)

    def answered(self, wait: Wait) -> AnsweredWait | None:
        """Return the answers to a wait, or None while it has none (strongly consistent)."""
        item = self._item(answer_key(wait.session_id, wait.number))
        return AnsweredWait.from_item(item, wait.count) if item else None

    def by_day(self, day: date, *, since: str = "") -> Iterator[RunMetadata | Event | Wait]:
        """Yield what began (metadata, waits) and what ended (outcome) on a day, in order (eventually consistent).

        :param since: a timestamp in the journal's form: only records from then on are read
        """
        for item in self._query(
            IndexName=BY_DAY_INDEX,
            KeyConditionExpression="#day = :day AND createdAt >= :since",
            ExpressionAttributeNames={"#day": "day"},
            ExpressionAttributeValues={
                ":day": {"S": day.isoformat()},
                ":since": {"S": since or day.isoformat()},
            },
        ):
            sort_key = from_item({"SK": item["SK"]})["SK"]
            kind = RunMetadata if sort_key == METADATA else Wait if sort_key.startswith(WAIT_PREFIX) else Event
            yield kind.from_item(item)

    def waits(self, day: date) -> Iterator[Wait]:
        """Yield the waits that began on a day, in order (eventually consistent)."""
        for item in self._query(
            IndexName=BY_DAY_INDEX,
            KeyConditionExpression="#day = :day",
            # The requests of that day's runs, which can be long, stay where they are.
            FilterExpression="attribute_exists(#until)",
            ExpressionAttributeNames={"#day": "day", "#until": "until"},
            ExpressionAttributeValues={":day": {"S": day.isoformat()}},
        ):
            yield Wait.from_item(item)

    def records(self, keys: Iterable[Item]) -> Iterator[Item]:
        """Yield those records of some keys that are there, in no order (strongly consistent).

        :param keys: no key twice
        """
        missing = list(keys)
        while missing:
            batch, missing = missing[:MAX_KEYS], missing[MAX_KEYS:]
            answer = self._client.batch_get_item(
                RequestItems={self._table_name: {"Keys": batch, "ConsistentRead": True}}
            )
            yield from answer["Responses"].get(self._table_name, [])
            # What didn't fit into 16 MB, or was throttled.
            unprocessed: Any = answer["UnprocessedKeys"].get(self._table_name, {}).get("Keys", [])
            missing = [*unprocessed, *missing]

    def _waits_of(self, session_id: str, **arguments: Any) -> Iterator[Wait]:
        for item in self._query(
            KeyConditionExpression="PK = :pk AND begins_with(SK, :wait)",
            ExpressionAttributeValues={":pk": {"S": partition_key(session_id)}, ":wait": {"S": WAIT_PREFIX}},
            ConsistentRead=True,
            **arguments,
        ):
            yield Wait.from_item(item)

    def _query(self, **arguments: Any) -> Iterator[Item]:
        pages = self._client.get_paginator("query").paginate(TableName=self._table_name, **arguments)
        for page in pages:
            yield from page["Items"]

    def _get(self, session_id: str, sort_key: str) -> Item | None:
        return self._item(record_key(session_id, sort_key))

    def _item(self, key: Item) -> Item | None:
        return self._client.get_item(TableName=self._table_name, Key=key, ConsistentRead=True).get("Item")
