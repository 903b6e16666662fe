"""AgentCore runtimes and their endpoints, in the emulator's control plane.

`local.agentcore.data_plane` runs what is created here.
"""

from __future__ import annotations

import time
from typing import Any

from local.deployment.resources.resource import Created, Inputs, Refused, Resource

READY_SECONDS = 10.0


def runtime(new: Resource) -> Created:
    """A runtime from code in S3, or from a container image, which can't run here."""
    inputs, control = new.inputs, new.emulator.client("bedrock-agentcore-control")
    network: Any = inputs.block("networkConfiguration").some("networkMode")
    options: dict[str, Any] = {
        **inputs.some("description", "environmentVariables", "platformVersion", "tags"),
        "protocolConfiguration": inputs.block("protocolConfiguration").some("serverProtocol"),
        "lifecycleConfiguration": _lifecycle(inputs.block("lifecycleConfigurations")),
    }
    created = control.create_agent_runtime(
        agentRuntimeName=inputs.require("agentRuntimeName"),
        agentRuntimeArtifact=_artifact(new, inputs.block("agentRuntimeArtifact")),
        roleArn=inputs.require("roleArn"),
        networkConfiguration=network,
        **{key: value for key, value in options.items() if value},
    )
    runtime_id = created["agentRuntimeId"]
    _wait_until_ready(new, runtime_id)
    return Created(
        runtime_id,
        {
            "agentRuntimeId": runtime_id,
            "agentRuntimeArn": created["agentRuntimeArn"],
            "agentRuntimeVersion": created["agentRuntimeVersion"],
        },
    )


def endpoint(new: Resource) -> Created:
    """A named endpoint of a runtime, which stays on its version."""
    inputs = new.inputs
    runtime_id, name = inputs.require("agentRuntimeId"), inputs.require("name")
    created = new.emulator.client("bedrock-agentcore-control").create_agent_runtime_endpoint(
        agentRuntimeId=runtime_id,
        name=name,
        **inputs.some("agentRuntimeVersion", "description", "tags"),
    )
    return Created(
        f"{runtime_id},{name}",
        {
            "agentRuntimeEndpointArn": created["agentRuntimeEndpointArn"],
            "agentRuntimeArn": created["agentRuntimeArn"],
        },
    )


def _artifact(new: Resource, artifact: Inputs) -> dict[str, Any]:
    if container := artifact.block("containerConfiguration"):
        return {"containerConfiguration": {"containerUri": container.require("containerUri")}}
    code = artifact.block("codeConfiguration")
    s3 = code.block("code").block("s3")
    location = {"bucket": s3.require("bucket"), "prefix": s3.require("prefix"), **s3.some("versionId")}
    _check_object_exists(new, location)
    configuration = code.some("runtime")
    return {
        "codeConfiguration": {
            "code": {"s3": location},
            "runtime": configuration["runtime"],
            "entryPoint": code.require("entryPoints"),
        }
    }


def _check_object_exists(new: Resource, location: dict[str, str]) -> None:
    """Check what AWS checks by reading the code when the runtime is created; the emulator doesn't."""
    version = {"VersionId": location["versionId"]} if "versionId" in location else {}
    s3 = new.emulator.client("s3")
    try:
        s3.head_object(Bucket=location["bucket"], Key=location["prefix"], **version)
    except s3.exceptions.ClientError as error:
        where = f"s3://{location['bucket']}/{location['prefix']}"
        raise Refused(f"there is no code at {where} when the runtime is created ({error})") from error


def _lifecycle(block: Inputs) -> dict[str, int]:
    return block.some("idleRuntimeSessionTimeout", "maxLifetime")


def _wait_until_ready(new: Resource, runtime_id: str) -> None:
    control = new.emulator.client("bedrock-agentcore-control")
    deadline = time.monotonic() + READY_SECONDS
    while (status := control.get_agent_runtime(agentRuntimeId=runtime_id)["status"]) != "READY":
        if time.monotonic() > deadline:
            raise Refused(f"the runtime {runtime_id} is {status}, not READY, after {READY_SECONDS:g} s")
        time.sleep(0.05)
