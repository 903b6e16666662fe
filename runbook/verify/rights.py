"""Whether each role may do what its actor needs, asked of IAM's own simulator, which knows boundaries as well.

Some rights show only when they are missing, at three in the morning: the one that stops a session, or that closes a
run. The table says what the code calls; the policies are the deployment's (`components/`). Of what a policy ties to a
condition only partitions of the table are looked at, because the simulator has to be told each condition's value: runs
try the others.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runbook.runbook import Runbook
from runbook.verify.findings import Look, Refuted, Unjudged
from runbook.verify.state_machine import wakes
from runtime.journal.keys import ANSWERS_PARTITION, RUN_PARTITION, artifact_prefix, turn_prefix

if TYPE_CHECKING:
    from mypy_boto3_iam.type_defs import ContextEntryTypeDef

Role = Callable[[Runbook], str]
Needs = Mapping[str, Sequence[str]]
"""Actions by the ARN that they are done to."""
PUT = "dynamodb:PutItem"
LEADING_KEYS = "dynamodb:LeadingKeys"
_NO_ANSWERS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Deny",
            "Action": PUT,
            "Resource": "*",
            "Condition": {"ForAnyValue:StringLike": {LEADING_KEYS: f"{ANSWERS_PARTITION}*"}},
        },
    }
)
"""What a simulator denies with that knows the condition key."""
OTHERWISE = "allow these credentials to read roles: iam:SimulatePrincipalPolicy, and what finds the roles"


def looks(runbook: Runbook) -> list[Look]:
    """Return a look for each role."""
    actors = {
        "agent": (_agent_role, _agent_needs),
        "function": (_function_role, _function_needs),
        "state machine": (_machine_role, _machine_needs),
        "rule": (_rule_role, _rule_needs),
    }
    return [
        Look(
            f"rights: {actor}",
            "its role may do all that it does",
            lambda find=find, needs=needs: _simulated(runbook, find(runbook), needs(runbook)),
            OTHERWISE,
            optional=True,
        )
        for actor, (find, needs) in actors.items()
    ] + [
        Look(
            "rights: answers",
            "neither agent nor function may write one",
            lambda: _cannot_answer(runbook, [_agent_role, _function_role]),
            OTHERWISE,
            optional=True,
        )
    ]


def _simulated(runbook: Runbook, role_arn: str, needs: Needs) -> str:
    missing = [denied for arn, actions in needs.items() for denied in _denied(runbook, role_arn, actions, arn)]
    role = role_arn.rpartition("/")[2]
    if missing:
        raise Refuted(
            f"{role} lacks {', '.join(dict.fromkeys(missing))}",
            "`pulumi up`; if that changes nothing, a permissions boundary or the organisation's policies deny it",
        )
    return f"{role}: all {sum(map(len, needs.values()))}"


def _denied(runbook: Runbook, role_arn: str, actions: Sequence[str], arn: str) -> Iterator[str]:
    # What partition is meant matters to the table's actions only.
    for action, decision in _decisions(runbook, role_arn, actions, arn, f"{RUN_PARTITION}x"):
        if decision != "allowed":
            yield action


def _decisions(
    runbook: Runbook, role_arn: str, actions: Sequence[str], arn: str, partition: str, **more: Any
) -> Iterator[tuple[str, str]]:
    partitions: ContextEntryTypeDef = {
        "ContextKeyName": LEADING_KEYS,
        "ContextKeyValues": [partition],
        "ContextKeyType": "stringList",
    }
    simulated = runbook.clients.iam.simulate_principal_policy(
        PolicySourceArn=role_arn,
        ActionNames=actions,
        ResourceArns=[arn],
        ContextEntries=[partitions],
        **more,
    )
    for result in simulated["EvaluationResults"]:
        yield result["EvalActionName"], result["EvalDecision"]


def _cannot_answer(runbook: Runbook, roles: Sequence[Role]) -> str:
    """An agent that may write an answer approves itself: any code in it can read its role's credentials."""
    found = [find(runbook) for find in roles]
    if able := [role.rpartition("/")[2] for role in found if _may_answer(runbook, role)]:
        raise Refuted(
            f"{', '.join(able)} may write an answer",
            f"`pulumi up`; the role's right to put into the table must be tied to {LEADING_KEYS} {RUN_PARTITION}*",
        )
    return ", ".join(f"{role.rpartition('/')[2]}: no" for role in found)


def _may_answer(runbook: Runbook, role_arn: str) -> bool:
    def decision(**more: Any) -> str:
        (found,) = _decisions(runbook, role_arn, [PUT], _table(runbook), f"{ANSWERS_PARTITION}x", **more)
        return found[1]

    if decision() != "allowed":
        return False
    if decision(PolicyInputList=[_NO_ANSWERS]) == "allowed":
        raise Unjudged(f"what simulates policies here doesn't know {LEADING_KEYS}")
    return True


def _agent_role(runbook: Runbook) -> str:
    found = runbook.clients.agentcore_control.get_agent_runtime(agentRuntimeId=runbook.outputs.agent_runtime_id)
    return found["roleArn"]


def _agent_needs(runbook: Runbook) -> Needs:
    table, outputs = _table(runbook), runbook.outputs
    bucket = f"arn:{outputs.partition}:s3:::{outputs.artifact_bucket_name}"
    stream = f"{_arn(runbook, 'logs')}:log-group:{outputs.agent_log_group_name}:log-stream:x"
    needs: dict[str, Sequence[str]] = {
        table: ["dynamodb:PutItem", "dynamodb:ConditionCheckItem", "dynamodb:Query"],
        f"{bucket}/{artifact_prefix('x')}x.md": ["s3:GetObject", "s3:PutObject"],
        f"{bucket}/{turn_prefix('x')}x.json": ["s3:GetObject", "s3:PutObject"],
        _model(runbook): ["bedrock:InvokeModelWithResponseStream"],
        stream: ["logs:CreateLogStream", "logs:PutLogEvents"],
        "*": ["xray:PutTraceSegments"],
    }
    if wakes(runbook):
        needs["*"] = [*needs["*"], "states:SendTaskSuccess"]
    return needs


def _function_role(runbook: Runbook) -> str:
    function = runbook.outputs.invoker_function_name
    return runbook.clients.functions.get_function_configuration(FunctionName=function).get("Role", "")


def _function_needs(runbook: Runbook) -> Needs:
    runtime, qualifier = runbook.outputs.agent_runtime_arn, runbook.outputs.agent_qualifier
    sessions = ["bedrock-agentcore:InvokeAgentRuntime", "bedrock-agentcore:StopRuntimeSession"]
    return {
        _table(runbook): ["dynamodb:PutItem", "dynamodb:ConditionCheckItem"],
        runtime: sessions,
        f"{runtime}/runtime-endpoint/{qualifier}": sessions,
        # Of executions of the one machine, for the input of those that ended without closing their run.
        f"{runbook.outputs.state_machine_arn.replace(':stateMachine:', ':execution:')}:x": ["states:DescribeExecution"],
    }


def _machine_role(runbook: Runbook) -> str:
    machine = runbook.outputs.state_machine_arn
    return runbook.clients.stepfunctions.describe_state_machine(stateMachineArn=machine)["roleArn"]


def _machine_needs(runbook: Runbook) -> Needs:
    return {
        _table(runbook): ["dynamodb:PutItem", "dynamodb:ConditionCheckItem", "dynamodb:Query"],
        f"{_arn(runbook, 'lambda')}:function:{runbook.outputs.invoker_function_name}": ["lambda:InvokeFunction"],
        f"{_arn(runbook, 'events')}:event-bus/default": ["events:PutEvents"],
    }


def _rule_role(runbook: Runbook) -> str:
    events, machine = runbook.clients.events, runbook.outputs.state_machine_arn
    for rule in events.list_rule_names_by_target(TargetArn=machine)["RuleNames"]:
        for target in events.list_targets_by_rule(Rule=rule)["Targets"]:
            if target["Arn"] == machine and "RoleArn" in target:
                return target["RoleArn"]
    raise Refuted("no rule starts the state machine", "`pulumi up`: events start nothing without it")


def _rule_needs(runbook: Runbook) -> Needs:
    return {runbook.outputs.state_machine_arn: ["states:StartExecution"]}


def _table(runbook: Runbook) -> str:
    return f"{_arn(runbook, 'dynamodb')}:table/{runbook.outputs.journal_table_name}"


def _model(runbook: Runbook) -> str:
    model_id = runbook.model_id()
    if not model_id:
        raise Unjudged("the agent has no MODEL_ID")
    # `us.anthropic.claude-…` is an inference profile, `anthropic.claude-…` a model.
    if model_id.count(".") > 1:
        return f"{_arn(runbook, 'bedrock')}:inference-profile/{model_id}"
    return f"arn:{runbook.outputs.partition}:bedrock:{runbook.outputs.region}::foundation-model/{model_id}"


def _arn(runbook: Runbook, service: str) -> str:
    outputs = runbook.outputs
    return f"arn:{outputs.partition}:{service}:{outputs.region}:{outputs.account}"
