"""An account in the emulator as far as AgentCore needs one: runtimes with code and roles, and callers."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from local.emulator.clients import REGION, AccessKey
from local.emulator.process import Emulator

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agentcore import BedrockAgentCoreClient

REAL_AGENT = Path(__file__).with_name("agentcore_agent.py").read_text()
CLONED_AGENT = Path(__file__).with_name("cloned_agent.py").read_text()
QUICK_UVICORN = {"uvicorn.py": Path(__file__).with_name("quick_uvicorn.py").read_text()}
QUICK_AGENT = Path(__file__).with_name("quick_agent.py").read_text()
INVOKE = "bedrock-agentcore:InvokeAgentRuntime"
STOP = "bedrock-agentcore:StopRuntimeSession"
_SESSION = boto3.Session(region_name=REGION)
_ONE_TRY = Config(retries={"total_max_attempts": 1}, read_timeout=30, proxies={}, parameter_validation=False)


class AgentCoreAccount:
    """Everything in it has a name of its own, so that tests can share an emulator.

    :ivar bucket: a bucket with the code of all runtimes.
    """

    def __init__(self, emulator: Emulator) -> None:
        self.client = emulator.client
        self.emulator = emulator
        self.bucket = f"agentcore-{uuid.uuid4().hex[:12]}"
        self.client("s3").create_bucket(Bucket=self.bucket)
        self._root = self.client("sts").get_caller_identity()["Arn"]

    def runtime(
        self,
        main: str,
        *,
        role: str | None = None,
        entry_point: tuple[str, ...] = ("opentelemetry-instrument", "main.py"),
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        platform_version: str = "V1",
        **lifecycle: int,
    ) -> str:
        """Create a runtime that runs `main`; gives its ARN.

        :param files: what else is in its zip.
        """
        name = f"agent_{uuid.uuid4().hex[:12]}"
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            for path, content in {"main.py": main, **(files or {})}.items():
                archive.writestr(path, content)
        self.client("s3").put_object(Bucket=self.bucket, Key=name, Body=package.getvalue())
        code = {"s3": {"bucket": self.bucket, "prefix": name}}
        return self.client("bedrock-agentcore-control").create_agent_runtime(
            agentRuntimeName=name,
            agentRuntimeArtifact={
                "codeConfiguration": {"code": code, "runtime": "PYTHON_3_13", "entryPoint": list(entry_point)}
            },
            roleArn=role or self.role(),
            networkConfiguration={"networkMode": "PUBLIC"},
            platformVersion=platform_version,
            environmentVariables={"AWS_DEFAULT_REGION": REGION, **(environment or {})},
            lifecycleConfiguration=lifecycle,
        )["agentRuntimeArn"]

    def code_key(self, runtime_arn: str) -> str:
        """Where in the bucket a runtime's code is."""
        return runtime_arn.rpartition("/")[2].rpartition("-")[0]

    def update(self, runtime_arn: str, *, environment: Mapping[str, str]) -> None:
        """Make a new version, the same but for its variables."""
        control, runtime_id = self.client("bedrock-agentcore-control"), runtime_arn.rpartition("/")[2]
        now = control.get_agent_runtime(agentRuntimeId=runtime_id)
        same = {name: now[name] for name in ("agentRuntimeArtifact", "roleArn", "networkConfiguration")}
        control.update_agent_runtime(agentRuntimeId=runtime_id, environmentVariables=dict(environment), **same)

    def endpoint(self, runtime_arn: str, name: str) -> None:
        """Create an endpoint for the runtime's newest version."""
        self.client("bedrock-agentcore-control").create_agent_runtime_endpoint(
            agentRuntimeId=runtime_arn.rpartition("/")[2], name=name
        )

    def role(self, *allowed: tuple[str, str], trusts: str | None = None) -> str:
        """Create a role that may do these actions on these resources; gives its ARN."""
        name = f"role-{uuid.uuid4().hex[:12]}"
        trust = {"Effect": "Allow", "Principal": {"AWS": trusts or self._root}, "Action": "sts:AssumeRole"}
        arn = self.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
        if allowed:
            statements = [{"Effect": "Allow", "Action": action, "Resource": on} for action, on in allowed]
            self.client("iam").put_role_policy(RoleName=name, PolicyName="allowed", PolicyDocument=_policy(*statements))
        return arn

    def log_streams(self, runtime_arn: str, session_id: str, endpoint: str = "DEFAULT") -> dict[str, str]:
        """What a session's environments have printed, by log stream."""
        logs = self.client("logs")
        group = {"logGroupName": f"/aws/bedrock-agentcore/runtimes/{runtime_arn.rpartition('/')[2]}-{endpoint}"}
        try:
            streams = [stream["logStreamName"] for stream in logs.describe_log_streams(**group)["logStreams"]]
        except logs.exceptions.ResourceNotFoundException:
            return {}
        return {
            stream: "\n".join(
                event["message"]
                for event in logs.get_log_events(**group, logStreamName=stream, startFromHead=True)["events"]
            )
            for stream in streams
            if session_id in stream
        }

    def log(self, runtime_arn: str, session_id: str, endpoint: str = "DEFAULT") -> str:
        """The same, as one text."""
        return "\n".join(self.log_streams(runtime_arn, session_id, endpoint).values())

    def caller(self, data_plane_url: str, *allowed: tuple[str, str]) -> BedrockAgentCoreClient:
        """A client that has assumed a role with these rights."""
        credentials = self.client("sts").assume_role(RoleArn=self.role(*allowed), RoleSessionName="caller")[
            "Credentials"
        ]
        return client_of(
            data_plane_url,
            AccessKey(credentials["AccessKeyId"], credentials["SecretAccessKey"]),
            credentials["SessionToken"],
        )


def client_of(data_plane_url: str, key: AccessKey, token: str | None = None) -> BedrockAgentCoreClient:
    """A data plane client that tries each call once and checks nothing itself."""
    return _SESSION.client(
        "bedrock-agentcore",
        endpoint_url=data_plane_url,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        aws_session_token=token,
        config=_ONE_TRY,
    )


def ask(
    client: BedrockAgentCoreClient, runtime_arn: str, session_id: str, qualifier: str = "DEFAULT", **payload: Any
) -> Any:
    """Invoke the agent and parse what it answers."""
    response = client.invoke_agent_runtime(
        agentRuntimeArn=runtime_arn,
        qualifier=qualifier,
        runtimeSessionId=session_id,
        payload=json.dumps(payload).encode(),
    )
    with response["response"] as body:
        return json.loads(body.read())


def new_session() -> str:
    """A session id as EventBridge would make one."""
    return str(uuid.uuid4())


def _policy(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
