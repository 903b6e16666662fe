"""Starting runs: events for the stack's rule. An event's id becomes the run's session id."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from runbook.errors import TriggerFailed
from runbook.tables import camel_case
from runtime.contract.errors import InvalidRequest
from runtime.contract.fields import described
from runtime.contract.request import RunRequest, parse_request

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

MAX_ENTRIES = 10
MAX_BYTES = 256 * 1024
"""Of all entries of one call together, as EventBridge counts them. A single request fits: it has 240 KB at most.

Source: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html
"""


_OTHERWISE = ("prompt", "take_from", "claims")
_OPTIONAL = tuple(field.name for field in fields(RunRequest) if field.name not in _OTHERWISE)


def request_of(prompt: str, optional: Mapping[str, Any], workflows: Sequence[str]) -> dict[str, Any]:
    """Return a request as JSON has it.

    :param optional: fields of :class:`RunRequest` besides the prompt; those that are None are left out
    :param workflows: those that the stack has; if there are none, it is not known which
    :raises InvalidRequest: if there is no such field, or no such workflow
    """
    if unknown := [name for name in optional if name not in _OPTIONAL]:
        raise InvalidRequest("a field of the request", described(unknown[0]), f"one of {', '.join(_OPTIONAL)}")
    workflow = optional.get("workflow")
    if workflow is not None and workflows and workflow not in workflows:
        raise InvalidRequest("workflow", described(workflow), f"one of {', '.join(workflows)}")
    said = {camel_case(name): value for name, value in optional.items() if value is not None}
    return {"prompt": prompt} | said


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
            return self.client.put_events(Entries=batch)["Entries"]  # pyrefly: ignore[bad-argument-type]
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
