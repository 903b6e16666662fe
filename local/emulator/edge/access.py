"""Who may use the emulator: only holders of this start's root key, or of credentials that the emulator issued.

By itself ministack accepts as root any signature by the key `test`, by any twelve digits or by no key at all, and lets
anyone wipe it through its own paths. Here root is one random key, whose signatures are checked like all others; every
request needs a signature, and ministack's own paths need root's secret as a bearer token.
"""

from __future__ import annotations

import secrets
from typing import Any

import ministack.app
from ministack.core import iam_evaluator
from ministack.services import sts

from local.emulator.edge.replacing import replace
from local.loopback.gate import AsgiApp, Message, Receive, Send, gate, refuse

_OWN_PATHS = ("/_ministack", "/_localstack", "/_aws", "/health")
_SIGNED = b"AWS4-HMAC-SHA256 "
_SIGNED_QUERY = b"Signature="


def install(access_key_id: str, secret_access_key: str) -> None:
    """Make this key root's, and the only way to be root."""

    def is_root(given: str) -> bool:
        return given == access_key_id

    def resolve(original: Any) -> Any:
        def resolve_credential(given: str, account_id: str | None = None, *token: Any, **tokens: Any) -> Any:
            if given != access_key_id:
                return original(given, account_id, *token, **tokens)
            return _root(access_key_id, secret_access_key, account_id)

        return resolve_credential

    replace(iam_evaluator, "is_root_access_key", lambda _: is_root, "if is_root_access_key(access_key_id):")
    replace(sts, "_access_key_account", lambda found: found, "if is_root_access_key(key_id):")
    sts.is_root_access_key = is_root  # pyrefly: ignore[bad-assignment]
    replace(iam_evaluator, "resolve_credential", resolve, "secret_access_key=")
    # Only decides whether a signature is checked.
    replace(iam_evaluator, "_is_root_key", lambda _: _never_root, "(access_key_id and _is_root_key(")
    replace(ministack.app, "app", lambda app: gate(_require_signature(app, secret_access_key)), "hypercorn_serve(app, ")


def _never_root(_access_key_id: str) -> bool:
    return False


def _root(access_key_id: str, secret_access_key: str, account_id: str | None) -> iam_evaluator.ResolvedCredential:
    from ministack.core.responses import get_account_id

    account_id = account_id or get_account_id()
    return iam_evaluator.ResolvedCredential(
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        session_token=None,
        account_id=account_id,
        principal_arn=f"arn:aws:iam::{account_id}:root",
        principal_id=account_id,
        principal_type="Root",
        source_access_key_id=access_key_id,
    )


def _require_signature(app: AsgiApp, admin_token: str) -> AsgiApp:
    bearer = b"Bearer " + admin_token.encode()

    async def check(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        authorization = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if scope["path"].startswith(_OWN_PATHS):
            if not secrets.compare_digest(authorization, bearer):
                await refuse("The emulator's own paths need its secret access key as a bearer token", send)
                return
        elif not authorization.startswith(_SIGNED) and _SIGNED_QUERY not in scope["query_string"]:
            await refuse("Missing Authentication Token", send, "MissingAuthenticationTokenException")
            return
        await app(scope, receive, send)

    return check
