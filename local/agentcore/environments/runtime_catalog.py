"""What runs behind an endpoint: read from the emulator's control plane, its code unpacked from S3.

Owns the facts about runtime versions, which are immutable, and a directory of code for each. It starts nothing.
"""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local.agentcore.protocol.errors import SEE_LOGS, NotFoundError, RuntimeClientError

if TYPE_CHECKING:
    from mypy_boto3_bedrock_agentcore_control import BedrockAgentCoreControlClient
    from mypy_boto3_s3 import S3Client

    from local.agentcore.protocol.requests import Endpoint

# https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-lifecycle-settings.html
DEFAULT_IDLE_SECONDS = 900
DEFAULT_MAX_LIFETIME_SECONDS = 28_800
# The platform's wrapper around the entry point; the receiver of its traces is not emulated.
_INSTRUMENTATION = "opentelemetry-instrument"


@dataclass(frozen=True)
class RuntimeVersion:
    """One immutable version of a runtime.

    :ivar entry_point: the script and its arguments, relative to `code_directory`.
    :ivar environment: the runtime's environment variables.
    :ivar code_directory: where its code is unpacked.
    :ivar snapshot: whether its environments come from one that was prepared: platform version V2.
    """

    runtime_arn: str
    version: str
    role_arn: str
    entry_point: tuple[str, ...]
    environment: Mapping[str, str]
    idle_seconds: float
    max_lifetime_seconds: float
    code_directory: Path
    snapshot: bool = False


class RuntimeCatalog:
    """Runtime versions by endpoint.

    :param directory: where code is unpacked; the caller removes it.
    """

    def __init__(self, control: BedrockAgentCoreControlClient, s3: S3Client, directory: Path) -> None:
        self._control = control
        self._s3 = s3
        self._directory = directory
        self._versions: dict[tuple[str, str], RuntimeVersion] = {}
        self._lock = asyncio.Lock()

    async def version_behind(self, endpoint: Endpoint) -> RuntimeVersion:
        """The version that new sessions of this endpoint get.

        :raises NotFoundError: if there is no such runtime or endpoint.
        :raises RuntimeClientError: if its code can't be fetched, or lacks the entry point.
        """
        try:
            async with self._lock:  # so that no code is unpacked twice
                return await asyncio.to_thread(self._look_up, endpoint)
        except (ClientError, BotoCoreError) as error:
            raise _as_error(error, endpoint) from error

    def _look_up(self, endpoint: Endpoint) -> RuntimeVersion:
        live = self._control.get_agent_runtime_endpoint(agentRuntimeId=endpoint.runtime_id, endpointName=endpoint.name)[
            "liveVersion"
        ]
        key = (endpoint.runtime_id, live)
        if key not in self._versions:
            found = self._control.get_agent_runtime(agentRuntimeId=key[0], agentRuntimeVersion=live)
            self._versions[key] = self._load(found)
        return self._versions[key]

    def _load(self, found: Mapping[str, Any]) -> RuntimeVersion:
        code = found["agentRuntimeArtifact"].get("codeConfiguration")
        if code is None:
            raise RuntimeClientError("The local AgentCore data plane runs code packages only, not containers")
        lifecycle = found.get("lifecycleConfiguration", {})
        return RuntimeVersion(
            runtime_arn=found["agentRuntimeArn"],
            version=found["agentRuntimeVersion"],
            role_arn=found["roleArn"],
            entry_point=tuple(part for part in code["entryPoint"] if part != _INSTRUMENTATION),
            environment=found.get("environmentVariables", {}),
            idle_seconds=lifecycle.get("idleRuntimeSessionTimeout", DEFAULT_IDLE_SECONDS),
            max_lifetime_seconds=lifecycle.get("maxLifetime", DEFAULT_MAX_LIFETIME_SECONDS),
            code_directory=self._unpack(code["code"]["s3"], found),
            snapshot=found.get("platformVersion") == "V2",
        )

    def _unpack(self, location: Mapping[str, str], found: Mapping[str, Any]) -> Path:
        target = self._directory / f"{found['agentRuntimeId']}-{found['agentRuntimeVersion']}"
        place = {"Bucket": location["bucket"], "Key": location["prefix"]}
        if "versionId" in location:
            place["VersionId"] = location["versionId"]
        package: bytes = self._s3.get_object(**place)["Body"].read()
        try:
            with zipfile.ZipFile(io.BytesIO(package)) as archive:
                archive.extractall(target)
        except zipfile.BadZipFile as error:
            raise _not_started(f"s3://{place['Bucket']}/{place['Key']} is not a zip file ({error})") from error
        return target


def _not_started(why: str) -> RuntimeClientError:
    return RuntimeClientError(f"An error occurred when starting the runtime: {why}. {SEE_LOGS}")


def _as_error(error: ClientError | BotoCoreError, endpoint: Endpoint) -> NotFoundError | RuntimeClientError:
    if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") == NotFoundError.code:
        return NotFoundError(
            f"No endpoint or agent found with qualifier '{endpoint.name}' for agent '{endpoint.runtime_arn}'"
        )
    return _not_started(str(error))
