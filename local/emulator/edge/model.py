"""Bedrock's answers: a model server's, or canned ones that say so, but never canned ones in place of a server's.

Ministack answers with canned text whenever the server refuses, can't be reached or takes too long, and a run completes
with it. Here such a call fails the way a failing model does on AWS, with the cause in the message. Where a request says
that a tool must be called, as for results that are data, the canned reply calls it.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
import uuid
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

from ministack.services import bedrock_runtime

from local.emulator.edge.canned import canned_input
from local.emulator.edge.directions import directions
from local.emulator.edge.replacing import replace

_FAILED_STATUS = 424
_SHOWN_BYTES = 300

_failure: ContextVar[str] = ContextVar("failure", default="")


class ModelServerFailed(Exception):
    """The model server gave no usable answer."""


def install() -> None:
    """Make failed calls fail, and canned replies call what must be called."""
    url = bedrock_runtime._PROXY_URL
    replace(bedrock_runtime, "_mock_reply", _label_canned)
    if url:
        replace(
            bedrock_runtime,
            "_proxy_openai_chat_message",
            lambda found: _fail_without_answer(found, url),
            "return None, None",
        )
        replace(
            bedrock_runtime, "handle_request", _report_failure, "urllib.request.urlopen(req, timeout=_PROXY_TIMEOUT_S)"
        )
        # The caller swallows its errors.
        watched = SimpleNamespace(**vars(urllib.request) | {"urlopen": _open})
        replaced: Any = SimpleNamespace(request=watched, error=urllib.error)
        bedrock_runtime.urllib = replaced
    else:
        replace(bedrock_runtime, "handle_request", _directed)
        # What a server would have answered: ministack makes Converse's blocks and stop reason of it.
        replace(
            bedrock_runtime,
            "_proxy_openai_chat_message",
            _call_what_must_be_called,
            "tool_config=None):",
            "_converse_blocks_from_message(message)",
        )


def _label_canned(original: Any) -> Any:
    def mock_reply(*arguments: Any) -> str:
        return f"A canned reply, not a model's: {original(*arguments)}"

    return mock_reply


def _call_what_must_be_called(_original: Any) -> Any:
    def answer(
        _model_id: str, messages: Any, system: Any, _inference_config: Any, tool_config: Any = None
    ) -> tuple[dict[str, Any] | None, None]:
        function = _required_function(tool_config) or _directed_function(messages, system, tool_config)
        if function is None:
            return None, None
        arguments = json.dumps(canned_input(function["parameters"]))
        call = {
            "id": f"tooluse_{uuid.uuid4().hex}",
            "type": "function",
            "function": {"name": function["name"], "arguments": arguments},
        }
        return {"role": "assistant", "content": None, "tool_calls": [call]}, None

    return answer


def _required_function(tool_config: Any) -> Any:
    """Return the tool that must be called, the first where it may be any; None if none must."""
    asked: Any = bedrock_runtime._openai_tools(tool_config)
    tools, choice = asked
    functions = [tool["function"] for tool in tools]
    if choice == "required":
        return next(iter(functions), None)
    name = choice["function"]["name"] if isinstance(choice, dict) else None
    return next((function for function in functions if function["name"] == name), None)


def _directed_function(messages: Any, system: Any, tool_config: Any) -> Any:
    """Return the tool that the prompt says to call, unless one was called already."""
    if any("toolResult" in block for message in messages for block in message["content"]):
        return None
    asked: Any = bedrock_runtime._openai_tools(tool_config)
    wanted = directions(json.dumps([system, messages]).encode()).tool
    return next((tool["function"] for tool in asked[0] if tool["function"]["name"] == wanted), None)


def _directed(original: Any) -> Any:
    async def handle_request(method: str, path: str, headers: Any, body: bytes, *others: Any) -> Any:
        given = directions(body)
        await asyncio.sleep(given.seconds)
        if given.failure:
            return _model_error(f"A canned failure, not a model's: the prompt says {given.failure}.")
        return await original(method, path, headers, body, *others)

    return handle_request


def _model_error(message: str) -> Any:
    return bedrock_runtime._error("ModelErrorException", message, _FAILED_STATUS)


def _fail_without_answer(original: Any, url: str) -> Any:
    def ask(*arguments: Any) -> Any:
        _failure.set("its answer is not a chat completion")
        message, counts = original(*arguments)
        if message is None:
            raise ModelServerFailed(f"The model server {url} failed: {_failure.get()}.")
        return message, counts

    return ask


def _report_failure(original: Any) -> Any:
    async def handle_request(*arguments: Any) -> Any:
        try:
            return await original(*arguments)
        except ModelServerFailed as error:
            return _model_error(str(error))

    return handle_request


def _open(request: urllib.request.Request, timeout: float) -> Any:
    try:
        return urllib.request.urlopen(request, timeout=timeout)  # noqa: S310 - an http URL that the user has given
    except urllib.error.HTTPError as error:
        said = error.read(_SHOWN_BYTES).decode("utf-8", "replace").strip()
        _failure.set(f"{request.full_url} answered {error.code} {error.reason}" + (f": {said}" if said else ""))
        raise
    except TimeoutError:
        _failure.set(f"no answer within {timeout:g} s")
        raise
    except OSError as error:
        _failure.set(str(getattr(error, "reason", error)))
        raise
