from __future__ import annotations

import re
import time

import pytest

from local.deployment.deploy import DeployError, deploy
from local.emulator.process import Emulator, EmulatorError
from tests.local.conftest import DeployProgram


def test_an_unknown_type_is_refused_by_name(deploy_program: DeployProgram) -> None:
    with pytest.raises(DeployError, match=r"^aws:ecr/repository:Repository 'vault': .* does not emulate this type"):
        deploy_program("aws.ecr.Repository('vault')")


def test_an_unknown_input_is_refused_by_name(deploy_program: DeployProgram) -> None:
    with pytest.raises(
        DeployError, match=r"^aws:sqs/queue:Queue 'slow': .* does not emulate its input fifoThroughputLimit$"
    ):
        deploy_program("aws.sqs.Queue('slow', fifo_throughput_limit='perQueue')")


def test_an_unknown_input_inside_a_block_is_refused_with_its_path(deploy_program: DeployProgram) -> None:
    program = """
        versioning = {"status": "Enabled", "mfa_delete": "Disabled"}
        bucket = aws.s3.Bucket("with-mfa")
        aws.s3.BucketVersioning("versions", bucket=bucket.bucket, versioning_configuration=versioning)
    """
    with pytest.raises(DeployError, match=r"'versions': .* its input versioningConfiguration\.mfaDelete$"):
        deploy_program(program)


def test_a_missing_input_is_named(deploy_program: DeployProgram) -> None:
    with pytest.raises(DeployError, match=r"Table 'keyless': the input hashKey is missing$"):
        deploy_program("aws.dynamodb.Table('keyless', billing_mode='PAY_PER_REQUEST')")


def test_an_unknown_invoke_is_refused_by_name(deploy_program: DeployProgram) -> None:
    with pytest.raises(DeployError, match=r"^aws:ssm/getParameter:getParameter: .* does not emulate"):
        deploy_program("pulumi.export('value', aws.ssm.get_parameter_output(name='x').value)")


def test_reading_what_exists_is_refused(deploy_program: DeployProgram) -> None:
    with pytest.raises(DeployError, match=r"'found': reading or importing .* \(some-queue\) is not emulated"):
        deploy_program("aws.sqs.Queue.get('found', 'some-queue')")


def test_an_argument_that_boto3_refuses_names_the_resource(deploy_program: DeployProgram) -> None:
    with pytest.raises(DeployError, match=r"(?s)Role 'unlimited': .*MaxSessionDuration"):
        deploy_program("aws.iam.Role('unlimited', assume_role_policy='{\"Statement\": []}', max_session_duration=1)")


def test_what_the_service_refuses_names_the_resource(deploy_program: DeployProgram) -> None:
    with pytest.raises(DeployError, match=r"LogGroup 'odd': .*retention"):
        deploy_program("aws.cloudwatch.LogGroup('odd', retention_in_days=15)")


def test_a_runtime_without_its_code_is_refused(deploy_program: DeployProgram) -> None:
    program = """
        bucket = aws.s3.Bucket("empty-bucket")
        s3 = {"bucket": bucket.bucket, "prefix": "agent.zip"}
        aws.bedrock.AgentcoreAgentRuntime(
            "hollow",
            agent_runtime_name="hollow",
            role_arn="arn:aws:iam::000000000000:role/some-role",
            network_configuration={"network_mode": "PUBLIC"},
            agent_runtime_artifact={
                "code_configuration": {
                    "runtime": "PYTHON_3_13", "entry_points": ["main.py"], "code": {"s3": s3}
                }
            },
        )
    """
    with pytest.raises(DeployError, match=r"'hollow': there is no code at s3://empty-bucket-\w+/agent\.zip"):
        deploy_program(program)


def test_the_first_failure_is_told_once_and_nothing_hangs_on_it(
    deploy_program: DeployProgram, capfd: pytest.CaptureFixture[str]
) -> None:
    program = """
        queue = aws.sqs.Queue("first", fifo_throughput_limit="perQueue")
        topics = [aws.sns.Topic(f"t{n}", name=queue.name.apply(lambda name: name + "x")) for n in range(5)]
        pulumi.export("arns", pulumi.Output.all(*[topic.arn for topic in topics]))
    """
    began = time.monotonic()
    with pytest.raises(DeployError, match=r"^aws:sqs/queue:Queue 'first': "):
        deploy_program(program)
    assert time.monotonic() - began < 10
    assert capfd.readouterr() == ("", "")


def test_a_failure_does_not_spoil_the_next_deployment(deploy_program: DeployProgram) -> None:
    with pytest.raises(DeployError):
        deploy_program("aws.ecr.Repository('vault')")
    assert deploy_program("pulumi.export('name', aws.sqs.Queue('later', name='later').name)") == {"name": "later"}


def test_an_error_of_the_program_itself_is_one_sentence(deploy_program: DeployProgram) -> None:
    with pytest.raises(DeployError, match=r"^The Pulumi program failed: KeyError: 'nowhere'$"):
        deploy_program("{}['nowhere']")


def test_a_wrong_configuration_is_one_sentence(emulator: Emulator) -> None:
    with pytest.raises(
        DeployError,
        match=r"^The stack local has an invalid configuration: fire-and-forget:leaseSeconds is 1; allowed is",
    ):
        deploy(emulator, config_overrides={"leaseSeconds": 1})


@pytest.mark.slow
def test_a_stopped_emulator_is_said_to_be_stopped() -> None:
    with Emulator() as gone:
        pass
    with pytest.raises(EmulatorError, match="not running"):
        deploy(gone)


def test_a_resource_without_a_name_gets_one_and_keeps_it(deploy_program: DeployProgram) -> None:
    program = "pulumi.export('name', aws.sns.Topic('unnamed').name)"
    first = deploy_program(program)["name"]
    assert re.fullmatch(r"unnamed-[0-9a-f]{7}", first)
    assert deploy_program(program)["name"] == first


def test_a_secret_input_is_used_like_any_other(deploy_program: DeployProgram, emulator: Emulator) -> None:
    outputs = deploy_program(
        """
        topic = aws.sns.Topic("secretive", name=pulumi.Output.secret("secretive"))
        pulumi.export("arn", topic.arn)
        """
    )
    assert emulator.client("sns").get_topic_attributes(TopicArn=outputs["arn"])


@pytest.mark.parametrize("stack", ["local", "dev", "staging", "prod"])
def test_every_stack_of_the_project_deploys(emulator: Emulator, stack: str) -> None:
    # What the emulator can't be asked for: TLS, and dependencies for another processor.
    outputs = deploy(emulator, stack=stack, config_overrides={"requireTls": False, "agentCode": "source"})
    assert all(outputs.values())
    assert outputs["journalTableName"].startswith(f"fire-and-forget-{stack}-journal-table-")


def test_an_agent_bundled_for_aws_is_refused_with_what_is_allowed(emulator: Emulator) -> None:
    with pytest.raises(DeployError, match=r"fire-and-forget:agentCode is bundle; the embedded cloud allows source"):
        deploy(emulator, config_overrides={"agentCode": "bundle"})


def test_every_option_of_the_project_deploys(emulator: Emulator) -> None:
    options = {
        "alarmEmail": "a@example.org",
        "completion": "callback",
        "customerKey": True,
        "eventSource": "orders.eu",
        "quietHours": 24,
        "runMetrics": True,
        "schedule": "rate(1 day)",
        "scheduledRequest": {"prompt": "What is new?"},
    }
    with Emulator() as other:
        assert deploy(other, config_overrides=options)["eventSource"] == "orders.eu"


@pytest.mark.slow
def test_a_machine_with_a_computed_time_limit_is_refused_with_the_setting_to_change() -> None:
    computed = r"WaitForCompletion computes its TimeoutSeconds, .*pollMaxIntervalSeconds"
    with Emulator() as other, pytest.raises(DeployError, match=computed):
        deploy(other, config_overrides={"completion": "callback", "pollMaxIntervalSeconds": 300})


@pytest.mark.slow
def test_the_project_deploys_in_seconds() -> None:
    with Emulator() as other:
        began = time.monotonic()
        deploy(other)
        assert time.monotonic() - began < 5
