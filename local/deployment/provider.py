"""The emulator as a Pulumi provider: whatever the program registers is created there at once.

Owns the table of what is emulated, and the rule for everything else: an unknown type, input or invoke is refused by
name. `local.deployment.resources` creates resources, `local.deployment.program` runs the program.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, rpc

from local.deployment.auto_names import AutoNames
from local.deployment.resources import (
    agentcore,
    cloudwatch,
    dynamodb,
    events,
    iam,
    kms,
    lambda_,
    logs,
    s3,
    sns,
    sqs,
    step_functions,
)
from local.deployment.resources.resource import Created, Inputs, Refused, Resource
from local.emulator.process import Emulator

logger = logging.getLogger(__name__)

RESOURCES: Mapping[str, Callable[[Resource], Created]] = {
    "aws:bedrock/agentcoreAgentRuntime:AgentcoreAgentRuntime": agentcore.runtime,
    "aws:bedrock/agentcoreAgentRuntimeEndpoint:AgentcoreAgentRuntimeEndpoint": agentcore.endpoint,
    "aws:cloudwatch/dashboard:Dashboard": cloudwatch.dashboard,
    "aws:cloudwatch/eventRule:EventRule": events.rule,
    "aws:cloudwatch/eventTarget:EventTarget": events.target,
    "aws:cloudwatch/logGroup:LogGroup": logs.log_group,
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": logs.metric_filter,
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": logs.resource_policy,
    "aws:cloudwatch/metricAlarm:MetricAlarm": cloudwatch.metric_alarm,
    "aws:dynamodb/table:Table": dynamodb.table,
    "aws:iam/role:Role": iam.role,
    "aws:iam/rolePolicy:RolePolicy": iam.role_policy,
    "aws:kms/alias:Alias": kms.alias,
    "aws:kms/key:Key": kms.key,
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
    """The program could not be deployed; the message names the resource at fault, if there is one."""


class EmulatorProvider(Mocks):
    """Answers Pulumi's mocks from the emulator. Called from several threads at a time.

    :param names: names for resources that have none.
    :ivar failure: the first failure; from then on everything is refused with it.
    """

    def __init__(self, emulator: Emulator, names: AutoNames) -> None:
        self._emulator = emulator
        self._names = names
        self._lock = threading.Lock()
        self.failure: DeployError | None = None

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Create a resource; components exist only in Pulumi.

        :raises DeployError: if it, or an earlier resource, can't be created.
        """
        if args.custom is False:
            return "", args.inputs
        began = time.perf_counter()
        try:
            created = self._create(args)
        except Exception as error:
            raise self._fail(f"{args.typ} {args.name!r}: {_describe(error)}") from error
        logger.debug("%s %r took %.0f ms", args.typ, args.name, (time.perf_counter() - began) * 1000)
        return created.id, {**args.inputs, **created.outputs}

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Answer an invoke.

        :raises DeployError: if it is not emulated.
        """
        try:
            return self._invoke(args.token), []
        except Exception as error:
            raise self._fail(f"{args.token}: {_describe(error)}") from error

    def _create(self, args: MockResourceArgs) -> Created:
        if self.failure is not None:
            raise Refused("an earlier resource failed")
        if args.resource_id:
            raise Refused(f"reading or importing an existing resource ({args.resource_id}) is not emulated")
        if args.typ not in RESOURCES:
            raise Refused(
                "the embedded cloud does not emulate this type (local/deployment/provider.py lists what it does)"
            )
        inputs = Inputs({name: rpc.unwrap_rpc_secret(value) for name, value in args.inputs.items()})
        name = self._names.name(args.typ, args.name)
        created = RESOURCES[args.typ](Resource(name, inputs, self._emulator))
        if unused := inputs.unused():
            raise Refused(f"the embedded cloud does not emulate its input {', '.join(unused)}")
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


def _describe(error: Exception) -> str:
    """Return an error's message, with the name of its class if the message alone may not be a sentence."""
    sentences = (Refused, BotoCoreError, ClientError)
    return str(error) if isinstance(error, sentences) else f"{type(error).__name__}: {error}"
