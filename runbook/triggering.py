"""Starting runs: events for the stack's rule. An event's id becomes the run's session id."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from runbook.errors import TriggerFailed
from runtime.contract.request import parse_request

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

MAX_ENTRIES = 10
MAX_BYTES = 256 * 1024
"""Of all entries of one call together, as EventBridge counts them. A single request fits: it has 240 KB at most.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
"""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Puts events that start runs of one stack.

    :ivar source: the stack's event source
    """

    client: "EventBridgeClient"
    source: str
    detail_type: str

    def start(self, requests: Sequence[Mapping[str, Any]]) -> list[str]:
        """Start a run for each request and return the session ids in the same order.

        :raises InvalidRequest: if one of the requests can't be run; nothing is started then
        :raises TriggerFailed: if EventBridge doesn't take all events; it says which runs were started
        """
        for request in requests:
            parse_request(dict(request))
        results = [result for batch in self._batches(requests) for result in self._put(batch)]
        accepted = [result["EventId"] for result in results if "EventId" in result]
        if len(accepted) < len(results):
            failed = [
                (str(request["prompt"]), f"{result.get('ErrorCode')}: {result.get('ErrorMessage')}")
                for request, result in zip(requests, results, strict=True)
                if "EventId" not in result
            ]
            raise TriggerFailed(accepted, failed)
        return accepted

    def _put(self, batch: Sequence[Mapping[str, str]]) -> Sequence[Mapping[str, Any]]:
        try:
            return self.client.put_events(Entries=batch)["Entries"]  # pyright: ignore[reportArgumentType]
        except (ClientError, BotoCoreError) as error:
            # Not raised: other batches may have started runs, and somebody has to be told which.
            return [{"ErrorCode": type(error).__name__, "ErrorMessage": str(error)}] * len(batch)

    def _batches(self, requests: Iterable[Mapping[str, Any]]) -> Iterator[list[dict[str, str]]]:
        batch: list[dict[str, str]] = []
        total = 0
        for request in requests:
            entry = {
                "Source": self.source,
                "DetailType": self.detail_type,
                "Detail": json.dumps(request, ensure_ascii=False),
            }
            size = sum(len(text.encode("utf-8", "replace")) for text in entry.values())
            if batch and (len(batch) == MAX_ENTRIES or total + size > MAX_BYTES):
                yield batch
                batch, total = [], 0
            batch.append(entry)
            total += size
        if batch:
            yield batch
