"""The platform version of AgentCore's runtimes, which ministack forgets: V1 unless a call says otherwise.

An update that doesn't say keeps it. What it means is the data plane's business (`local.agentcore`).
https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-how-it-works.html#runtime-platform-versions
"""

from __future__ import annotations

import json
from typing import Any

from ministack.services import bedrock_agentcore

from local.emulator.edge.replacing import replace

FIELD = "platformVersion"
VERSIONS = ("V1", "V2")


def install() -> None:
    """Keep what is said when runtimes are created and updated, for each of their versions."""
    replace(bedrock_agentcore, "_create_agent_runtime", _keep, 'record["_versions"] = {version: _version_snapshot(')
    replace(bedrock_agentcore, "_update_agent_runtime", _change, "versions[new_version] = _version_snapshot(record)")


def _keep(original: Any) -> Any:
    def create(body: Any) -> Any:
        if refused := _refusal(chosen := _said(body) or VERSIONS[0]):
            return refused
        answer = original(body)
        # (status, headers, body)
        if (created := _runtimes().get(json.loads(answer[2]).get("agentRuntimeId"))) is not None:
            created[FIELD] = created["_versions"][created["agentRuntimeVersion"]][FIELD] = chosen
        return answer

    return create


def _change(original: Any) -> Any:
    def update(runtime_id: str, body: Any) -> Any:
        chosen = _said(body)
        if chosen is not None and (refused := _refusal(chosen)):
            return refused
        if chosen is not None and (record := _runtimes().get(runtime_id)) is not None:
            record[FIELD] = chosen
        return original(runtime_id, body)

    return update


def _said(body: Any) -> str | None:
    return bedrock_agentcore._parse_body(body).get(FIELD)


def _refusal(chosen: str) -> Any:
    if chosen in VERSIONS:
        return None
    return bedrock_agentcore._validation(f"{FIELD} is {chosen!r}: it must be one of {', '.join(VERSIONS)}")


def _runtimes() -> Any:
    return bedrock_agentcore._runtimes
