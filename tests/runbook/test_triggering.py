"""Starting runs, from the outside."""

from __future__ import annotations

import dataclasses
import json

import pytest
from botocore.stub import Stubber

from runbook.clients import Clients
from runbook.errors import TriggerFailed
from runbook.outputs import StackOutputs
from runbook.runbook import Runbook
from runtime.contract.errors import InvalidRequest


def entry(detail: dict[str, object]) -> dict[str, object]:
    """What EventBridge has to be given."""
    text = json.dumps(detail, ensure_ascii=False)
    return {"Entries": [{"Source": "fire-and-forget.dev", "DetailType": "AgentRunRequested", "Detail": text}]}


def taken(*ids: str) -> dict[str, object]:
    """EventBridge's answer when it took everything."""
    return {"FailedEntryCount": 0, "Entries": [{"EventId": event_id} for event_id in ids]}


def test_a_run_is_an_event_that_the_stack_s_rule_matches(rb: Runbook) -> None:
    with Stubber(rb.clients.events) as events:
        events.add_response("put_events", taken("id-1"), entry({"prompt": "Wolken zählen"}))
        events.add_response("put_events", taken("id-2"), entry({"prompt": "Why?", "workflow": "verify"}))
        assert rb.trigger("Wolken zählen") == "id-1"
        assert rb.trigger("Why?", workflow="verify", requested_by=None) == "id-2"


def test_a_workflow_that_the_stack_does_not_have_is_refused_before_anything_is_sent(
    clients: Clients, outputs: StackOutputs
) -> None:
    rb = Runbook(dataclasses.replace(outputs, workflows=("default", "investigate")), clients)
    allowed = "workflow is 'investigte' .*: it must be one of default, investigate"
    with Stubber(rb.clients.events), pytest.raises(InvalidRequest, match=allowed):
        rb.trigger("Why?", workflow="investigte")
    with Stubber(rb.clients.events) as events:
        events.add_response("put_events", taken("id-1"), entry({"prompt": "Why?", "workflow": "investigate"}))
        assert rb.trigger("Why?", workflow="investigate") == "id-1"


def test_a_field_that_no_request_has_is_refused(rb: Runbook) -> None:
    allowed = "a field of the request is 'requestedby' .*: it must be one of workflow, requested_by, limits"
    with Stubber(rb.clients.events), pytest.raises(InvalidRequest, match=allowed):
        rb.trigger("Why?", requestedby="billing")
    with Stubber(rb.clients.events), pytest.raises(InvalidRequest, match=r"request\.requestedBy is "):
        rb.trigger("Why?", requested_by="x" * 201)


def test_a_run_can_be_given_limits_of_its_own(rb: Runbook) -> None:
    with Stubber(rb.clients.events) as events:
        events.add_response("put_events", taken("id-1"), entry({"prompt": "Why?", "limits": {"tokens": 200_000}}))
        assert rb.trigger("Why?", limits={"tokens": 200_000}) == "id-1"
    with Stubber(rb.clients.events), pytest.raises(InvalidRequest, match=r"request\.limits\.tokens is 0:"):
        rb.trigger("Why?", limits={"tokens": 0})


def test_an_empty_prompt_starts_nothing(rb: Runbook) -> None:
    with Stubber(rb.clients.events), pytest.raises(InvalidRequest, match=r"request\.prompt"):
        rb.trigger_many(["Count the clouds", " "])


def test_a_prompt_that_is_too_long_is_refused_before_it_is_sent(rb: Runbook) -> None:
    with Stubber(rb.clients.events), pytest.raises(InvalidRequest, match="bytes as JSON"):
        rb.trigger("x" * 300_000)


def test_many_prompts_become_as_many_runs_in_batches_of_ten(rb: Runbook) -> None:
    prompts = [f"Count cloud {number}" for number in range(23)]
    assert len(set(rb.trigger_many(prompts))) == 23


def test_batches_stay_below_the_size_that_eventbridge_takes(rb: Runbook) -> None:
    text = "ü" * 90_000
    with Stubber(rb.clients.events) as events:
        for number in range(3):
            events.add_response("put_events", taken(f"id-{number}"), entry({"prompt": text}))
        assert rb.trigger_many([text] * 3) == ["id-0", "id-1", "id-2"]


def test_events_that_are_not_taken_are_told_from_those_that_are(rb: Runbook) -> None:
    answer = {
        "FailedEntryCount": 1,
        "Entries": [{"EventId": "id-1"}, {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}],
    }
    with Stubber(rb.clients.events) as events:
        events.add_response("put_events", answer)
        with pytest.raises(TriggerFailed, match=r"1 of 2 events .*slow down.*; 1 runs were") as caught:
            rb.trigger_many(["one", "two"])
    assert caught.value.accepted == ["id-1"]
    assert caught.value.failed == [("two", "ThrottlingException: slow down")]


def test_runs_that_were_started_are_known_though_a_later_batch_is_refused(rb: Runbook) -> None:
    with Stubber(rb.clients.events) as events:
        events.add_response("put_events", taken(*(f"id-{number}" for number in range(10))))
        events.add_client_error("put_events", "AccessDeniedException", "no")
        with pytest.raises(TriggerFailed, match="AccessDenied") as caught:
            rb.trigger_many([f"Count cloud {number}" for number in range(11)])
    assert len(caught.value.accepted) == 10
    assert caught.value.failed[0][0] == "Count cloud 10"
