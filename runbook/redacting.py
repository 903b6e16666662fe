"""Texts of a pulled run: changed by a hook before they are written, and looked through for secrets.

A hook is given texts only: what people, models, tools and code have said. Names, ids, keys, statuses, digests and the
schemas of tools stay, as a replay needs them.
"""

import importlib
import json
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from runbook.errors import RedactionFailed

Redact = Callable[[str], str]

_SIGNS: dict[str, tuple[tuple[str, ...], re.Pattern[str]]] = {
    "an AWS access key": (("akia", "asia"), re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    "a private key": (("private key",), re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    "a token of a code host": (
        ("gh", "glpat-"),
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60}|glpat-[\w-]{20})"),
    ),
    "a chat service's token": (("xox",), re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10}")),
    "an API key": (("sk-",), re.compile(r"\bsk-[A-Za-z0-9_-]{20}")),
    "a JSON web token": (("eyj",), re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.")),
    "a bearer token": (("bearer",), re.compile(r"\bBearer [\w.~+/=-]{16}", re.IGNORECASE)),
    "a URL with a password": (("://",), re.compile(r"\w://[^\s/:@\"]+:[^\s/@\"]{3,}@")),
    "a password": (
        ("passw", "secret", "api_key", "api-key", "apikey", "access_token", "access-token", "accesstoken"),
        re.compile(
            r"(?:password|passwd|secret|api[_-]?key|access[_-]?token)[\"'\\]*\s*[:=]\s*"
            r"[\"'\\]*[^\s\"'\\,;{}\[\]*]{6}",
            re.IGNORECASE,
        ),
    ),
}
"""What secrets look like, and first, as a pattern takes far longer, what a text with one has in lower case.

A text that has none of these may have a secret all the same.
"""

_SPOKEN = {"input", "json"}
"""What a model gave to a tool, and a tool to a model: all of it is text."""
_OF_MESSAGES = {"toolUseId", "role", "status", "signature", "format"}
_OF_DETAILS = {
    "after", "tool", "status", "claim", "artifact", "reportKey", "takenFrom", "released", "workflow", "workflowDigest",
    "codeDigest", "step", "wants", "until",
}  # fmt: skip
_OF_QUESTIONS = {"step", "tool", "wants"}
_OF_REQUESTS = ("workflow", "retryOf", "retryFrom", "takeFrom")


def load_hook(name: str) -> Redact:
    """Return the function that `module:function` names; modules beside the user are found as well.

    :raises RedactionFailed: if there is none
    """
    module, _, function = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise RedactionFailed(name, f"{error}; say it as module:function") from error
    finally:
        sys.path.pop(0)
    return _checked(found, name)


def secrets_in(text: str) -> list[str]:
    """Return the kinds of secrets that a text seems to have."""
    lower = text.lower()
    return [
        kind
        for kind, (parts, pattern) in _SIGNS.items()
        if any(part in lower for part in parts) and pattern.search(text)
    ]


def redacted_turn(turn: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    """Return a turn's document with other texts in its messages and its interrupts."""
    kept = {"messages": _OF_MESSAGES, "interrupts": _OF_MESSAGES | _OF_QUESTIONS}
    return {**turn, **{name: _redacted(turn[name], redact, kept[name]) for name in kept.keys() & turn.keys()}}


def redacted_definition(definition: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    """Return a definition's document with another prompt and another first message."""
    return {**definition, **{name: _redacted(definition.get(name), redact) for name in ("prompt", "message")}}


def redacted_event(event: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    """Return an event's attributes with other texts in its detail and its error."""
    names = {"errorMessage", "detail"} & event.keys()
    return {**event, **{name: _redacted(event[name], redact, _OF_DETAILS) for name in names}}


def redacted_request(request: Any, redact: Redact) -> Any:
    """Return a request with other texts in what it asks and in the claims it names."""
    if not isinstance(request, Mapping):
        return _redacted(request, redact)
    fields = cast("Mapping[str, Any]", request).items()
    return {name: value if name in _OF_REQUESTS else _redacted(value, redact, _kept(name)) for name, value in fields}


def redacted_wait(wait: Mapping[str, Any], redact: Redact) -> dict[str, Any]:
    """Return a wait's document with other texts in what was asked, in what was answered, and for who answered."""
    return {name: _redacted(value, redact, _OF_QUESTIONS) for name, value in wait.items()}


def redacted_artifact(text: str, redact: Redact, *, is_json: bool) -> str:
    """Return an artifact's text with other texts in it."""
    return json.dumps(_redacted(json.loads(text), redact), indent=2) if is_json else redact(text)


def _kept(name: str) -> set[str]:
    return {"step", "tool"} if name == "claims" else set()


def _redacted(value: Any, redact: Redact, kept: Collection[str] = ()) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, (list, tuple)):
        return [_redacted(each, redact, kept) for each in cast("Sequence[Any]", value)]
    if not isinstance(value, Mapping):
        return value
    fields = cast("Mapping[str, Any]", value)
    if "__bytes_encoded__" in fields:
        # A picture or a document, as base64.
        return fields
    if "toolUseId" in fields and kept:
        kept = {*kept, "name"}
    return {
        name: inner
        if name in kept and not isinstance(inner, (Mapping, list))
        else _redacted(inner, redact, () if name in _SPOKEN else kept)
        for name, inner in fields.items()
    }


def _checked(hook: Any, name: str) -> Redact:
    def redact(text: str) -> str:
        try:
            changed = hook(text)
        except Exception as error:
            raise RedactionFailed(name, f"it raised {type(error).__name__}") from error
        if not isinstance(changed, str):
            raise RedactionFailed(name, f"it returned a {type(changed).__name__} and no text")
        return changed

    if not callable(hook):
        raise RedactionFailed(name, f"it is a {type(hook).__name__} and no function")
    return redact
