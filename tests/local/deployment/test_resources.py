"""Each resource type creates what it says: one program with all of them, read back through boto3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from pulumi.runtime import MockResourceArgs

from local.deployment.deploy import deploy
from local.deployment.provider import RESOURCES, EmulatorProvider
from local.emulator.clients import REGION
from local.emulator.process import Emulator
from tests.local.conftest import DeployProgram

PROGRAM = Path(__file__).parent / "every_resource"


@pytest.fixture(scope="module")
def created_types() -> set[str]:
    """The types that the program has registered, once it is deployed."""
    return set()


@pytest.fixture(scope="module")
def outputs(emulator: Emulator, created_types: set[str]) -> dict[str, Any]:
    """The program's outputs; every test asks for them, so that it is deployed."""
    new_resource = EmulatorProvider.new_resource

    def noting(provider: EmulatorProvider, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        created_types.add(args.typ)
        return new_resource(provider, args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EmulatorProvider, "new_resource", noting)
        return deploy(emulator, project=PROGRAM)


def test_the_program_has_every_type(outputs: dict[str, Any], created_types: set[str]) -> None:
    assert created_types == set(RESOURCES)


def test_invokes_tell_account_region_and_partition(outputs: dict[str, Any]) -> None:
    assert [outputs[name] for name in ("accountId", "region", "partition")] == ["000000000000", REGION, "aws"]


def test_a_table_has_keys_index_ttl_recovery_and_protection(emulator: Emulator, outputs: dict[str, Any]) -> None:
    dynamodb = emulator.client("dynamodb")
    table = dynamodb.describe_table(TableName="every-table")["Table"]
    assert [key["AttributeName"] for key in table.get("KeySchema", [])] == ["PK", "SK"]
    assert table.get("DeletionProtectionEnabled") is True
    assert table.get("SSEDescription", {}).get("KMSMasterKeyArn") == outputs["keyArn"]
    [index] = table.get("GlobalSecondaryIndexes", [])
    assert index.get("IndexName") == "by-day"
    assert index.get("KeySchema") == [
        {"AttributeName": "day", "KeyType": "HASH"},
        {"AttributeName": "createdAt", "KeyType": "RANGE"},
    ]
    assert index.get("Projection") == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["status"]}
    ttl = dynamodb.describe_time_to_live(TableName="every-table")["TimeToLiveDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expiresAt"}
    backups = dynamodb.describe_continuous_backups(TableName="every-table")["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {})
    assert recovery.get("PointInTimeRecoveryStatus") == "ENABLED"
    tags = dynamodb.list_tags_of_resource(ResourceArn=table.get("TableArn", ""))["Tags"]
    assert tags == [{"Key": "owner", "Value": "tests"}]


def test_a_bucket_has_all_that_guards_it(emulator: Emulator, outputs: dict[str, Any]) -> None:
    s3 = emulator.client("s3")
    assert s3.get_bucket_versioning(Bucket="every-bucket").get("Status") == "Enabled"
    access = s3.get_public_access_block(Bucket="every-bucket")["PublicAccessBlockConfiguration"]
    assert access.get("BlockPublicAcls") is access.get("RestrictPublicBuckets") is True
    controls = s3.get_bucket_ownership_controls(Bucket="every-bucket")["OwnershipControls"]
    assert controls["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    encryption = s3.get_bucket_encryption(Bucket="every-bucket")["ServerSideEncryptionConfiguration"]
    default = encryption["Rules"][0].get("ApplyServerSideEncryptionByDefault")
    assert default == {"SSEAlgorithm": "AES256"}
    policy = json.loads(s3.get_bucket_policy(Bucket="every-bucket")["Policy"])
    assert policy["Statement"][0]["Resource"] == "arn:aws:s3:::every-bucket/public/*"
    assert s3.get_bucket_tagging(Bucket="every-bucket")["TagSet"] == [{"Key": "owner", "Value": "tests"}]


def test_a_lifecycle_keeps_all_of_its_rule(emulator: Emulator, outputs: dict[str, Any]) -> None:
    [rule] = emulator.client("s3").get_bucket_lifecycle_configuration(Bucket="every-bucket")["Rules"]
    assert rule == {
        "ID": "expire",
        "Status": "Enabled",
        "Filter": {"Prefix": "sessions/"},
        "Expiration": {"Days": 90},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }


def test_an_object_has_the_bytes_of_its_source(emulator: Emulator, outputs: dict[str, Any]) -> None:
    reply = emulator.client("s3").get_object(Bucket="every-bucket", Key="agent/code.zip")
    assert reply["Body"].read() == b"the code"
    assert reply.get("VersionId")


def test_a_role_has_its_trust_and_its_policy(emulator: Emulator, outputs: dict[str, Any]) -> None:
    iam = emulator.client("iam")
    role = iam.get_role(RoleName="every-role")["Role"]
    assert role.get("Description") == "for tests"
    [statement] = _document(role.get("AssumeRolePolicyDocument"))["Statement"]
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
    policy = iam.get_role_policy(RoleName="every-role", PolicyName="every-role-policy")
    assert _document(policy["PolicyDocument"])["Statement"][0]["Action"] == "s3:GetObject"


def test_a_permission_to_invoke_models_covers_converse(emulator: Emulator, deploy_program: DeployProgram) -> None:
    deploy_program(
        """
        statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}
        grant = {"Effect": "Allow", "Action": "bedrock:InvokeModel", "Resource": "*"}
        role = aws.iam.Role("asking", name="asking", assume_role_policy=json.dumps({"Statement": [statement]}))
        aws.iam.RolePolicy("asking", name="asking", role=role.name, policy=json.dumps({"Statement": [grant]}))
        """
    )
    policy = emulator.client("iam").get_role_policy(RoleName="asking", PolicyName="asking")
    [statement] = _document(policy["PolicyDocument"])["Statement"]
    assert statement["Action"] == ["bedrock:InvokeModel", "bedrock:Converse"]


def test_root_can_act_as_the_agent(emulator: Emulator, outputs: dict[str, Any]) -> None:
    sts = emulator.client("sts")
    arn = "arn:aws:iam::000000000000:role/every-agent-role"
    credentials = sts.assume_role(RoleArn=arn, RoleSessionName="agent")["Credentials"]
    agent = boto3.client(
        "sts",
        endpoint_url=emulator.url,
        region_name=REGION,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )
    assert "assumed-role/every-agent-role/" in agent.get_caller_identity()["Arn"]


def test_a_log_group_has_its_retention(emulator: Emulator, outputs: dict[str, Any]) -> None:
    [group] = emulator.client("logs").describe_log_groups(logGroupNamePrefix="/every/logs")["logGroups"]
    assert group.get("retentionInDays") == 7
    # As the provider gives it, so that a policy can name the streams in it.
    assert outputs["logGroupArn"] == "arn:aws:logs:us-east-1:000000000000:log-group:/every/logs"


def test_a_log_group_has_its_writers_and_its_metric(emulator: Emulator, outputs: dict[str, Any]) -> None:
    logs = emulator.client("logs")
    [policy] = logs.describe_resource_policies(resourceArn=outputs["logGroupArn"], policyScope="RESOURCE")[
        "resourcePolicies"
    ]
    assert "logs:PutLogEvents" in policy.get("policyDocument", "")
    [found] = logs.describe_metric_filters(logGroupName="/every/logs")["metricFilters"]
    assert found.get("filterPattern") == "{ $.detail.seconds = * }"
    [metric] = found.get("metricTransformations", [])
    assert metric["metricValue"] == "$.detail.seconds"
    assert metric.get("dimensions") == {"outcome": "$.detail.outcome"}


def test_a_key_rotates_and_has_its_alias(emulator: Emulator, outputs: dict[str, Any]) -> None:
    keys = emulator.client("kms")
    assert keys.describe_key(KeyId="alias/every-key")["KeyMetadata"]["KeyId"] == outputs["keyId"]
    assert keys.get_key_rotation_status(KeyId=outputs["keyId"])["KeyRotationEnabled"] is True


def test_a_function_has_its_configuration(emulator: Emulator, outputs: dict[str, Any]) -> None:
    client = emulator.client("lambda")
    function = client.get_function(FunctionName="every-function")
    configuration = function.get("Configuration", {})
    assert configuration.get("Handler") == "handler.handle"
    assert configuration.get("MemorySize") == 256
    assert configuration.get("Timeout") == 9
    assert configuration.get("Architectures") == ["arm64"]
    assert configuration.get("TracingConfig") == {"Mode": "Active"}
    assert configuration.get("Environment", {}).get("Variables") == {"JOURNAL_TABLE": "every-table"}
    assert configuration.get("LoggingConfig", {}).get("LogGroup") == "/every/logs"
    assert function.get("Concurrency", {}).get("ReservedConcurrentExecutions") == 3
    retries = client.get_function_event_invoke_config(FunctionName="every-function")
    assert retries.get("MaximumRetryAttempts") == 1
    policy = json.loads(client.get_policy(FunctionName="every-function")["Policy"])
    assert policy["Statement"][0]["Sid"] == "every-permission"


def test_a_function_runs(emulator: Emulator, outputs: dict[str, Any]) -> None:
    reply = emulator.client("lambda").invoke(FunctionName="every-function", Payload=b'{"answer": 42}')
    assert json.load(reply["Payload"]) == {"answer": 42}


def test_a_state_machine_runs(emulator: Emulator, outputs: dict[str, Any]) -> None:
    machines = emulator.client("stepfunctions")
    machine = machines.describe_state_machine(stateMachineArn=outputs["machineArn"])
    logging = machine.get("loggingConfiguration", {})
    assert logging.get("level") == "ERROR"
    [destination] = logging.get("destinations", [])
    assert destination.get("cloudWatchLogsLogGroup") == {"logGroupArn": f"{outputs['logGroupArn']}:*"}
    assert machines.start_execution(stateMachineArn=outputs["machineArn"])["executionArn"]


def test_a_rule_has_its_pattern_and_its_target(emulator: Emulator, outputs: dict[str, Any]) -> None:
    events = emulator.client("events")
    assert json.loads(events.describe_rule(Name="every-rule")["EventPattern"]) == {"source": ["every"]}
    [target] = events.list_targets_by_rule(Rule="every-rule")["Targets"]
    assert target == {
        "Id": "every-target",
        "Arn": outputs["machineArn"],
        "RoleArn": "arn:aws:iam::000000000000:role/every-role",
        "InputTransformer": {"InputPathsMap": {"id": "$.id"}, "InputTemplate": '{"session_id": <id>}'},
        "RetryPolicy": {"MaximumEventAgeInSeconds": 600, "MaximumRetryAttempts": 5},
        "DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:000000000000:every-queue"},
    }


def test_a_schedule_has_its_target(emulator: Emulator, outputs: dict[str, Any]) -> None:
    schedule = emulator.client("scheduler").get_schedule(Name="every-schedule")
    assert schedule["ScheduleExpression"] == "rate(1 day)"
    assert schedule["Target"]["EventBridgeParameters"] == {"DetailType": "Wanted", "Source": "every"}
    assert schedule["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 5


def test_a_queue_has_its_attributes_and_its_policy(emulator: Emulator, outputs: dict[str, Any]) -> None:
    queues = emulator.client("sqs")
    attributes = queues.get_queue_attributes(QueueUrl=outputs["queueUrl"], AttributeNames=["All"])["Attributes"]
    assert attributes["MessageRetentionPeriod"] == "1209600"
    assert attributes["SqsManagedSseEnabled"] == "true"
    assert json.loads(attributes["Policy"])["Statement"][0]["Action"] == "sqs:SendMessage"


def test_a_runtime_has_its_code_role_environment_and_lifecycle(emulator: Emulator, outputs: dict[str, Any]) -> None:
    control = emulator.client("bedrock-agentcore-control")
    runtime = control.get_agent_runtime(agentRuntimeId=outputs["runtimeId"])
    assert runtime["agentRuntimeArn"] == outputs["runtimeArn"]
    assert runtime["roleArn"].endswith("role/every-agent-role")
    assert runtime.get("environmentVariables") == {"MODEL_ID": "every-model"}
    assert runtime["lifecycleConfiguration"] == {"idleRuntimeSessionTimeout": 60, "maxLifetime": 3600}
    code = runtime.get("agentRuntimeArtifact", {}).get("codeConfiguration", {})
    assert code.get("entryPoint") == ["main.py"]
    assert code.get("code", {}).get("s3", {}).get("prefix") == "agent/code.zip"
    endpoint = control.get_agent_runtime_endpoint(agentRuntimeId=outputs["runtimeId"], endpointName="live")
    assert endpoint["agentRuntimeEndpointArn"] == outputs["endpointArn"]
    assert endpoint.get("targetVersion") == "1"


def test_a_topic_has_its_policy_and_its_subscription(emulator: Emulator, outputs: dict[str, Any]) -> None:
    topics = emulator.client("sns")
    attributes = topics.get_topic_attributes(TopicArn=outputs["topicArn"])["Attributes"]
    assert attributes["DisplayName"] == "Every topic"
    assert json.loads(attributes["Policy"])["Statement"][0]["Action"] == "sns:Publish"
    [subscription] = topics.list_subscriptions_by_topic(TopicArn=outputs["topicArn"])["Subscriptions"]
    assert subscription["Endpoint"] == "a@example.org"


def test_alarms_have_their_metrics(emulator: Emulator, outputs: dict[str, Any]) -> None:
    cloudwatch = emulator.client("cloudwatch")
    [plain] = cloudwatch.describe_alarms(AlarmNames=["every-alarm"])["MetricAlarms"]
    assert plain.get("Dimensions") == [{"Name": "FunctionName", "Value": "every-function"}]
    assert plain.get("Threshold") == 0
    assert plain.get("AlarmActions") == [outputs["topicArn"]]
    # Its queries are checked by boto3 on their way, and forgotten by the emulator.
    [expression] = cloudwatch.describe_alarms(AlarmNames=["every-expression-alarm"])["MetricAlarms"]
    assert expression.get("Threshold") == 1.5


def test_a_dashboard_has_its_body(emulator: Emulator, outputs: dict[str, Any]) -> None:
    dashboard = emulator.client("cloudwatch").get_dashboard(DashboardName="every-dashboard")
    assert json.loads(dashboard["DashboardBody"]) == {"widgets": []}
    assert dashboard["DashboardArn"] == outputs["dashboardArn"]


def _document(policy: Any) -> dict[str, Any]:
    """A policy document, which boto3 gives parsed."""
    return json.loads(policy) if isinstance(policy, str) else policy
