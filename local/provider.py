"""The emulator as a Pulumi provider: what the program registers is created there at once.

Owns the table of what is emulated and the rule for everything else: an unknown type, input or invoke is refused by
name. How a resource is created stands in `local.resources`; running the program in `local.program`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, rpc

from local.emulator import Emulator
from local.resources import agentcore, cloudwatch, dynamodb, events, iam, lambda_, logs, s3, sns, sqs, step_functions
from local.resources.resource import Created, Inputs, Refused, Resource

RESOURCES: Mapping[str, Callable[[Resource], Created]] = {
    "aws:bedrock/agentcoreAgentRuntime:AgentcoreAgentRuntime": agentcore.runtime,
    "aws:bedrock/agentcoreAgentRuntimeEndpoint:AgentcoreAgentRuntimeEndpoint": agentcore.endpoint,
    "aws:cloudwatch/dashboard:Dashboard": cloudwatch.dashboard,
    "aws:cloudwatch/eventRule:EventRule": events.rule,
    "aws:cloudwatch/eventTarget:EventTarget": events.target,
    "aws:cloudwatch/logGroup:LogGroup": logs.log_group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": cloudwatch.metric_alarm,
    "aws:dynamodb/table:Table": dynamodb.table,
    "aws:iam/role:Role": iam.role,
    "aws:iam/rolePolicy:RolePolicy": iam.role_policy,
    "aws:lambda/function:Function": lambda_.function,
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": lambda_.event_invoke_config,
    "aws:lambda/permission:Permission": lambda_.permission,
    "aws:s3/bucket:Bucket": s3.bucket,
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": s3.lifecycle,
    "aws:s3/bucketObjectv2:BucketObjectv2": s3.bucket_object,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": s3.ownership_controls,
    "aws:s3/bucketPolicy:BucketPolicy": s3.policy,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": s3.public_access_block,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": s3.encryption,
    "aws:s3/bucketVersioning:BucketVersioning": s3.versioning,
    "aws:scheduler/schedule:Schedule": events.schedule,
    "aws:sfn/stateMachine:StateMachine": step_functions.state_machine,
    "aws:sns/topic:Topic": sns.topic,
    "aws:sns/topicPolicy:TopicPolicy": sns.topic_policy,
    "aws:sns/topicSubscription:TopicSubscription": sns.topic_subscription,
    "aws:sqs/queue:Queue": sqs.queue,
    "aws:sqs/queuePolicy:QueuePolicy": sqs.queue_policy,
}


class DeployError(Exception):
    """The program could not be deployed; the message names the resource, where one was at fault."""


class EmulatorProvider(Mocks):
    """What Pulumi's mocks ask for, answered from the emulator. Called from several threads at a time.

    :ivar failure: what went wrong first; from then on everything is refused with it.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._lock = threading.Lock()
        self.failure: DeployError | None = None

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Create a resource; components exist in Pulumi only.

        :raises DeployError: if it can't be created, or another one before it couldn't.
        """
        if not args.custom:
            return "", args.inputs
        try:
            created = self._create(args)
        except Exception as error:
            raise self._fail(f"{args.typ} {args.name!r}: {error}") from error
        return created.id, {**args.inputs, **created.outputs}

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Answer an invoke.

        :raises DeployError: if it is not emulated.
        """
        try:
            return self._invoke(args.token), []
        except Exception as error:
            raise self._fail(f"{args.token}: {error}") from error

    def _create(self, args: MockResourceArgs) -> Created:
        if self.failure is not None:
            raise Refused("an earlier resource failed")
        if args.resource_id:
            raise Refused(f"reading or importing something that exists ({args.resource_id}) is not emulated")
        if args.typ not in RESOURCES:
            raise Refused("the embedded cloud does not emulate this type (local/provider.py lists what it does)")
        inputs = Inputs({name: rpc.unwrap_rpc_secret(value) for name, value in args.inputs.items()})
        created = RESOURCES[args.typ](Resource(args.typ, args.name, inputs, self._emulator))
        if untaken := inputs.untaken():
            raise Refused(f"the embedded cloud does not emulate its input {', '.join(untaken)}")
        return created

    def _invoke(self, token: str) -> dict[str, Any]:
        sts = self._emulator.client("sts")
        match token:
            case "aws:index/getCallerIdentity:getCallerIdentity":
                identity = sts.get_caller_identity()
                account = identity["Account"]
                return {"accountId": account, "arn": identity["Arn"], "userId": identity["UserId"], "id": account}
            case "aws:index/getRegion:getRegion":
                region = sts.meta.region_name
                return {"region": region, "name": region, "id": region, "description": region}
            case "aws:index/getPartition:getPartition":
                return {"partition": "aws", "dnsSuffix": "amazonaws.com", "id": "aws"}
            case _:
                raise Refused("the embedded cloud does not emulate this invoke")

    def _fail(self, what: str) -> DeployError:
        with self._lock:
            self.failure = self.failure or DeployError(what)
            return self.failure
