"""A small real agent, deployed like ours: what it does is in each request.

Packed as `main.py` into the runtime's code; it is not imported by tests.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import boto3
from bedrock_agentcore import BedrockAgentCoreApp, RequestContext
from starlette.exceptions import HTTPException
from starlette.responses import Response

app = BedrockAgentCoreApp()
_background: set[asyncio.Task[None]] = set()


@app.async_task
async def work(seconds: float) -> None:
    await asyncio.sleep(seconds)
    print("work done", flush=True)


async def stream(chunks: int) -> AsyncGenerator[str, None]:
    for number in range(chunks):
        yield f"chunk {number}"
        await asyncio.sleep(0.01)


async def stream_for_ever() -> AsyncGenerator[str, None]:
    while True:
        yield "and on"
        await asyncio.sleep(0.05)


def echo(payload: Mapping[str, Any], context: RequestContext) -> dict[str, Any]:
    headers = dict(context.request.headers) if context.request else {}
    return {"payload": payload, "session": context.session_id, "pid": os.getpid(), "headers": headers}


def refuse(payload: Mapping[str, Any]) -> None:
    raise HTTPException(payload["status"], "refused")


def die(_: Mapping[str, Any]) -> None:
    print("about to die", file=sys.stderr, flush=True)
    os._exit(3)


async def start_work(payload: Mapping[str, Any]) -> str:
    task = asyncio.create_task(work(payload["seconds"]))
    _background.add(task)
    task.add_done_callback(_background.discard)
    return "started"


def start_child(_: Mapping[str, Any]) -> int:
    return subprocess.Popen(["/bin/sleep", "60"]).pid


def say(payload: Mapping[str, Any]) -> str:
    print(payload["text"], file=sys.stderr if payload.get("error") else sys.stdout)
    return "said"


@app.entrypoint
async def handle(payload: Mapping[str, Any], context: RequestContext) -> Any:
    match payload.get("do"):
        case "variables":
            return dict(os.environ)
        case "identity":
            return boto3.client("sts").get_caller_identity()["Arn"]
        case "put":
            return boto3.client("s3").put_object(Bucket=payload["bucket"], Key="k", Body=b"")["ETag"]
        case "raw":
            return Response(payload["text"].encode("latin-1"), 202, media_type="application/octet-stream")
        case "stream":
            return stream(payload["chunks"])
        case "stream for ever":
            return stream_for_ever()
        case "hang":
            await asyncio.sleep(60)
        case "refuse":
            return refuse(payload)
        case "die":
            return die(payload)
        case "start work":
            return await start_work(payload)
        case "start child":
            return start_child(payload)
        case "say":
            return say(payload)
        case _:
            return echo(payload, context)


if __name__ == "__main__":
    app.run(host=os.environ["HOST"], port=int(os.environ["PORT"]))
