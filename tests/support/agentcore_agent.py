"""A small real agent, deployed like ours: what it does is in each request.

Packed as `main.py` into a runtime's code; tests don't import it.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

from bedrock_agentcore import BedrockAgentCoreApp, RequestContext
from starlette.exceptions import HTTPException
from starlette.responses import Response

Payload = Mapping[str, Any]

app = BedrockAgentCoreApp()
background: set[asyncio.Task[None]] = set()


def echo(payload: Payload, context: RequestContext) -> dict[str, Any]:
    headers = dict(context.request.headers) if context.request else {}
    return {"payload": payload, "session": context.session_id, "pid": os.getpid(), "headers": headers}


def variables(_: Payload) -> dict[str, str]:
    return dict(os.environ)


def identity(_: Payload) -> str:
    import boto3

    return boto3.client("sts").get_caller_identity()["Arn"]


def put_object(payload: Payload) -> str:
    import boto3

    return boto3.client("s3").put_object(Bucket=payload["bucket"], Key="made/by-agent", Body=b"")["ETag"]


def raw(payload: Payload) -> Response:
    return Response(bytes.fromhex(payload["hex"]), 202, media_type="application/octet-stream")


async def stream(_: Payload) -> AsyncGenerator[str, None]:
    for number in range(3):
        yield f"chunk {number}"


async def stream_for_ever(_: Payload) -> AsyncGenerator[str, None]:
    while True:
        yield "and on"
        await asyncio.sleep(0.02)


async def hang(_: Payload) -> None:
    await asyncio.sleep(60)


def refuse(payload: Payload) -> None:
    raise HTTPException(payload["status"], "a secret of the agent")


def die(_: Payload) -> None:
    sys.stderr.write("last words\n")
    os._exit(3)


@app.async_task
async def work(seconds: float) -> None:
    await asyncio.sleep(seconds)


def start_work(payload: Payload) -> str:
    task = asyncio.get_running_loop().create_task(work(payload["seconds"]))
    background.add(task)
    task.add_done_callback(background.discard)
    return "started"


def start_child(_: Payload) -> int:
    return subprocess.Popen(["/bin/sleep", "60"]).pid


def say(payload: Payload) -> str:
    (sys.stderr if payload.get("error") else sys.stdout).write(payload["text"])
    return "said"


ACTIONS: dict[str, Callable[[Payload], Any]] = {
    action.__name__: action
    for action in (variables, identity, put_object, raw, stream, stream_for_ever, hang, refuse, die, start_work)
} | {"start_child": start_child, "say": say}


@app.entrypoint
async def handle(payload: Payload, context: RequestContext) -> Any:
    if "do" not in payload:
        return echo(payload, context)
    result = ACTIONS[payload["do"]](payload)
    return await result if asyncio.iscoroutine(result) else result


if __name__ == "__main__":
    app.run(host=os.environ["HOST"], port=int(os.environ["PORT"]))
