"""Who may write an answer, as IAM's simulator says. It is scripted: the emulator's knows no partitions."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from typing import Any

import pytest

from runbook.clients import Clients
from runbook.outputs import StackOutputs
from runbook.runbook import Runbook
from runbook.verify import rights
from runbook.verify.findings import Row, Verdict
from tests.runbook.conftest import stack_outputs
from tests.runbook.verify.test_preflight import service

ANSWERS = "rights: answers"


class Simulator:
    """IAM's, as far as these looks ask it: all is allowed but what a partition is not.

    :param partitions: that a role's puts are tied to, by its name
    :param knows: whether it looks at conditions
    """

    def __init__(self, partitions: dict[str, str], *, knows: bool = True) -> None:
        self.partitions = partitions
        self.knows = knows

    def simulate_principal_policy(self, **asked: Any) -> dict[str, Any]:
        """Decide on each action."""
        [entry] = asked["ContextEntries"]
        assert (entry["ContextKeyName"], entry["ContextKeyType"]) == ("dynamodb:LeadingKeys", "stringList")
        [partition] = entry["ContextKeyValues"]
        allowed = self.partitions.get(asked["PolicySourceArn"].rpartition("/")[2], "*")
        denied = [
            json.loads(policy)["Statement"]["Condition"]["ForAnyValue:StringLike"]["dynamodb:LeadingKeys"]
            for policy in asked.get("PolicyInputList", [])
        ]

        def decision(action: str) -> str:
            if not self.knows or not action.startswith("dynamodb:"):
                return "allowed"
            if any(fnmatch(partition, pattern) for pattern in denied):
                return "explicitDeny"
            return "allowed" if fnmatch(partition, allowed) else "implicitDeny"

        results = [{"EvalActionName": name, "EvalDecision": decision(name)} for name in asked["ActionNames"]]
        return {"EvaluationResults": results}


def rows(simulator: Simulator) -> dict[str, Row]:
    """The rows of a stack with these roles."""
    agent = {"roleArn": "arn:aws:iam::1:role/agent", "environmentVariables": {"MODEL_ID": "us.anthropic.a"}}
    machine = {
        "roleArn": "arn:aws:iam::1:role/machine",
        "definition": '{"States": {"WaitForCompletion": {"Type": "Wait"}}}',
    }
    services: dict[str, Any] = {
        "iam": simulator,
        "bedrock-agentcore-control": service(get_agent_runtime=agent),
        "lambda": service(get_function_configuration={"Role": "arn:aws:iam::1:role/function"}),
        "stepfunctions": service(describe_state_machine=machine),
    }
    runbook = Runbook(StackOutputs.from_mapping("dev", stack_outputs("dev")), Clients(services.__getitem__))
    looks = [look for look in rights.looks(runbook) if "rule" not in look.what]
    return {row.what: row for row in (look.row() for look in looks)}


TIED = {"agent": "SESSION#*", "function": "SESSION#*"}


def test_roles_that_write_into_runs_and_nowhere_else_are_all_right() -> None:
    found = rows(Simulator(TIED))
    assert {row.verdict for row in found.values()} == {Verdict.OK}
    assert found[ANSWERS].seen == "agent: no, function: no"


@pytest.mark.parametrize("role", TIED)
def test_a_role_that_may_write_an_answer_is_named(role: str) -> None:
    found = rows(Simulator(TIED | {role: "*"}))
    assert {row.what for row in found.values() if row.verdict == Verdict.FAILED} == {ANSWERS}
    assert found[ANSWERS].seen == f"{role} may write an answer"
    assert "dynamodb:LeadingKeys SESSION#*" in found[ANSWERS].do


def test_a_role_that_may_not_write_into_runs_lacks_a_right() -> None:
    found = rows(Simulator(TIED | {"agent": "ANSWERS#*"}))
    assert "dynamodb:PutItem" in found["rights: agent"].seen
    assert found["rights: agent"].verdict == Verdict.FAILED


def test_a_simulator_that_knows_no_partitions_judges_nothing() -> None:
    found = rows(Simulator(TIED, knows=False))
    assert found[ANSWERS].verdict == Verdict.SKIPPED
    assert "doesn't know dynamodb:LeadingKeys" in found[ANSWERS].seen
