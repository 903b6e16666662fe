"""One resource of every type that the embedded cloud emulates, with most of the inputs that it knows."""

import json

import pulumi
import pulumi_aws as aws


def policy(action: str, **who: object) -> str:
    """A policy document with one statement, about this account unless told otherwise."""
    account = {"AWS": "arn:aws:iam::000000000000:root"}
    statement = {"Effect": "Allow", "Action": action, "Principal": account, **who}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trust(service: str) -> str:
    """A role's trust in one service on behalf of this account."""
    account = {"StringEquals": {"aws:SourceAccount": "000000000000"}}
    return policy("sts:AssumeRole", Principal={"Service": service}, Condition=account)


key = aws.kms.Key(
    "key",
    description="for tests",
    enable_key_rotation=True,
    deletion_window_in_days=30,
    policy=policy("kms:*", Resource="*"),
    tags={"owner": "tests"},
)
aws.kms.Alias("alias", name="alias/every-key", target_key_id=key.key_id)

aws.dynamodb.Table(
    "table",
    name="every-table",
    billing_mode="PAY_PER_REQUEST",
    hash_key="PK",
    range_key="SK",
    attributes=[{"name": name, "type": "S"} for name in ("PK", "SK", "day", "createdAt")],
    global_secondary_indexes=[
        {
            "name": "by-day",
            "projection_type": "INCLUDE",
            "non_key_attributes": ["status"],
            "key_schemas": [
                {"attribute_name": "day", "key_type": "HASH"},
                {"attribute_name": "createdAt", "key_type": "RANGE"},
            ],
        }
    ],
    ttl={"attribute_name": "expiresAt", "enabled": True},
    point_in_time_recovery={"enabled": True, "recovery_period_in_days": 7},
    deletion_protection_enabled=True,
    server_side_encryption={"enabled": True, "kms_key_arn": key.arn},
    tags={"owner": "tests"},
)

bucket = aws.s3.Bucket("bucket", bucket="every-bucket", force_destroy=True, tags={"owner": "tests"})
versioning = aws.s3.BucketVersioning("versioning", bucket=bucket.bucket, versioning_configuration={"status": "Enabled"})
aws.s3.BucketPublicAccessBlock(
    "public-access", bucket=bucket.bucket, block_public_acls=True, restrict_public_buckets=True
)
aws.s3.BucketOwnershipControls("ownership", bucket=bucket.bucket, rule={"object_ownership": "BucketOwnerEnforced"})
aws.s3.BucketServerSideEncryptionConfiguration(
    "encryption",
    bucket=bucket.bucket,
    rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
)
aws.s3.BucketLifecycleConfiguration(
    "lifecycle",
    bucket=bucket.bucket,
    rules=[
        {
            "id": "expire",
            "status": "Enabled",
            "filter": {"prefix": "sessions/"},
            "expiration": {"days": 90},
            "noncurrent_version_expiration": {"noncurrent_days": 30},
            "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
        }
    ],
)
aws.s3.BucketPolicy(
    "bucket-policy",
    bucket=bucket.bucket,
    policy=bucket.arn.apply(lambda arn: policy("s3:GetObject", Resource=f"{arn}/public/*")),
)
code = aws.s3.BucketObjectv2(
    "code",
    bucket=bucket.bucket,
    key="agent/code.zip",
    source=pulumi.StringAsset("the code"),
    source_hash="changes with the code",
    opts=pulumi.ResourceOptions(depends_on=[versioning]),
)

agent_role = aws.iam.Role(
    "agent-role",
    name="every-agent-role",
    assume_role_policy=trust("bedrock-agentcore.amazonaws.com"),
    tags={"owner": "tests"},
)
role = aws.iam.Role(
    "role", name="every-role", assume_role_policy=trust("lambda.amazonaws.com"), description="for tests"
)
aws.iam.RolePolicy(
    "role-policy",
    name="every-role-policy",
    role=role.name,
    policy=json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
        }
    ),
)

logs = aws.cloudwatch.LogGroup("logs", name="/every/logs", retention_in_days=7, tags={"owner": "tests"})
aws.cloudwatch.LogResourcePolicy(
    "log-policy",
    resource_arn=logs.arn,
    policy_document=policy("logs:PutLogEvents", Principal={"Service": "events.amazonaws.com"}, Resource="*"),
)
aws.cloudwatch.LogMetricFilter(
    "metric-filter",
    name="every-metric-filter",
    log_group_name=logs.name,
    pattern="{ $.detail.seconds = * }",
    metric_transformation={
        "namespace": "every",
        "name": "Seconds",
        "value": "$.detail.seconds",
        "unit": "Seconds",
        "dimensions": {"outcome": "$.detail.outcome"},
    },
)
function = aws.lambda_.Function(
    "function",
    name="every-function",
    role=role.arn,
    runtime="python3.13",
    architectures=["arm64"],
    handler="handler.handle",
    code=pulumi.AssetArchive({"handler.py": pulumi.StringAsset("def handle(event, context): return event")}),
    memory_size=256,
    timeout=9,
    environment={"variables": {"JOURNAL_TABLE": "every-table"}},
    logging_config={"log_format": "JSON", "log_group": logs.name, "application_log_level": "INFO"},
    tracing_config={"mode": "Active"},
    reserved_concurrent_executions=3,
    source_code_hash="changes with the code",
)
aws.lambda_.Permission(
    "permission",
    statement_id="every-permission",
    function=function.name,
    action="lambda:InvokeFunction",
    principal="events.amazonaws.com",
)
aws.lambda_.FunctionEventInvokeConfig("invoke-config", function_name=function.name, maximum_retry_attempts=1)

machine = aws.sfn.StateMachine(
    "machine",
    name="every-machine",
    type="STANDARD",
    role_arn=role.arn,
    definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
    logging_configuration={
        "level": "ERROR",
        "include_execution_data": False,
        "log_destination": logs.arn.apply(lambda arn: f"{arn}:*"),
    },
    tracing_configuration={"enabled": True},
)

queue = aws.sqs.Queue(
    "queue",
    name="every-queue",
    message_retention_seconds=1209600,
    sqs_managed_sse_enabled=True,
    tags={"owner": "tests"},
)
aws.sqs.QueuePolicy(
    "queue-policy",
    queue_url=queue.url,
    policy=queue.arn.apply(lambda arn: policy("sqs:SendMessage", Resource=arn)),
)
rule = aws.cloudwatch.EventRule(
    "rule",
    name="every-rule",
    event_bus_name="default",
    description="for tests",
    event_pattern=json.dumps({"source": ["every"]}),
)
aws.cloudwatch.EventTarget(
    "target",
    rule=rule.name,
    target_id="every-target",
    arn=machine.arn,
    role_arn=role.arn,
    input_transformer={"input_paths": {"id": "$.id"}, "input_template": '{"session_id": <id>}'},
    retry_policy={"maximum_event_age_in_seconds": 600, "maximum_retry_attempts": 5},
    dead_letter_config={"arn": queue.arn},
)
aws.scheduler.Schedule(
    "schedule",
    name="every-schedule",
    schedule_expression="rate(1 day)",
    flexible_time_window={"mode": "OFF"},
    target={
        "arn": "arn:aws:events:us-east-1:000000000000:event-bus/default",
        "role_arn": role.arn,
        "eventbridge_parameters": {"detail_type": "Wanted", "source": "every"},
        "input": "{}",
        "retry_policy": {"maximum_event_age_in_seconds": 600, "maximum_retry_attempts": 5},
    },
)

runtime = aws.bedrock.AgentcoreAgentRuntime(
    "runtime",
    agent_runtime_name="every_runtime",
    role_arn=agent_role.arn,
    agent_runtime_artifact={
        "code_configuration": {
            "runtime": "PYTHON_3_13",
            "entry_points": ["main.py"],
            "code": {"s3": {"bucket": code.bucket, "prefix": code.key, "version_id": code.version_id}},
        }
    },
    network_configuration={"network_mode": "PUBLIC"},
    protocol_configuration={"server_protocol": "HTTP"},
    environment_variables={"MODEL_ID": "every-model"},
    lifecycle_configurations=[{"idle_runtime_session_timeout": 60, "max_lifetime": 3600}],
)
endpoint = aws.bedrock.AgentcoreAgentRuntimeEndpoint(
    "endpoint",
    name="live",
    agent_runtime_id=runtime.agent_runtime_id,
    agent_runtime_version=runtime.agent_runtime_version,
)

topic = aws.sns.Topic("topic", name="every-topic", display_name="Every topic")
aws.sns.TopicPolicy(
    "topic-policy",
    arn=topic.arn,
    policy=topic.arn.apply(lambda arn: policy("sns:Publish", Resource=arn)),
)
aws.sns.TopicSubscription("subscription", topic=topic.arn, protocol="email", endpoint="a@example.org")
aws.cloudwatch.MetricAlarm(
    "alarm",
    name="every-alarm",
    namespace="AWS/Lambda",
    metric_name="Errors",
    dimensions={"FunctionName": function.name},
    statistic="Sum",
    period=60,
    evaluation_periods=1,
    threshold=0,
    comparison_operator="GreaterThanThreshold",
    treat_missing_data="notBreaching",
    alarm_actions=[topic.arn],
)
aws.cloudwatch.MetricAlarm(
    "expression-alarm",
    name="every-expression-alarm",
    evaluation_periods=1,
    threshold=1.5,
    comparison_operator="GreaterThanThreshold",
    metric_queries=[
        {"id": "both", "expression": "errors * 2", "label": "Both", "return_data": True},
        {
            "id": "errors",
            "metric": {
                "namespace": "AWS/Lambda",
                "metric_name": "Errors",
                "dimensions": {"FunctionName": function.name},
                "period": 60,
                "stat": "Sum",
            },
        },
    ],
)
dashboard = aws.cloudwatch.Dashboard(
    "dashboard", dashboard_name="every-dashboard", dashboard_body=json.dumps({"widgets": []})
)

pulumi.export("accountId", aws.get_caller_identity_output().account_id)
pulumi.export("region", aws.get_region_output().region)
pulumi.export("partition", aws.get_partition_output().partition)
pulumi.export("queueUrl", queue.url)
pulumi.export("machineArn", machine.arn)
pulumi.export("runtimeId", runtime.agent_runtime_id)
pulumi.export("runtimeArn", runtime.agent_runtime_arn)
pulumi.export("endpointArn", endpoint.agent_runtime_endpoint_arn)
pulumi.export("topicArn", topic.arn)
pulumi.export("dashboardArn", dashboard.dashboard_arn)
pulumi.export("keyArn", key.arn)
pulumi.export("keyId", key.key_id)
pulumi.export("logGroupArn", logs.arn)
