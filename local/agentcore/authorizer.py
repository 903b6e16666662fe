"""Asks the emulator who is calling AgentCore's data plane, and whether they may.

Owns the questions, not the answers: the emulator has the signatures, identities and policies. It gets the caller's own
signed request, so that there is no second implementation of SigV4 or IAM to differ from it.

The payload isn't forwarded. A signature covers its hash, which may also come in `X-Amz-Content-SHA256`, a header that
need not be signed; computed here, it also proves that the payload is the signed one. So clients that sign
Content-Length are refused; botocore, and with it the AWS CLI, doesn't.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from local.agentcore.protocol.errors import AccessDeniedError, AgentCoreError, NamedError, NotFoundError
from local.agentcore.protocol.requests import Endpoint
from local.loopback.exchange import Answer, ConnectionLostError, exchange

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from starlette.requests import Request

_EMULATOR_SECONDS = 30.0
_STOP = "bedrock-agentcore:StopRuntimeSession"
# The emulator chooses the service by this header, which AWS clients never sign, rather than by the path.
_ASK_STS_WHO = {b"x-amz-target": b"AWSSecurityTokenServiceV20110615.GetCallerIdentity"}
_ASK_STS_WHO_FORM = b"Action=GetCallerIdentity&Version=2011-06-15"
_STS_ARN = ".//{https://sts.amazonaws.com/doc/2011-06-15/}Arn"
# STS, which is asked about stops, names credential errors differently from a JSON service.
_JSON_NAMES = {
    "ExpiredToken": "ExpiredTokenException",
    "IncompleteSignature": "IncompleteSignatureException",
    "InvalidClientTokenId": "UnrecognizedClientException",
    "SignatureDoesNotMatch": "InvalidSignatureException",
}
_REPLACED_HEADERS = frozenset(
    {b"x-amz-content-sha256", b"x-amz-target", b"connection", b"content-length", b"expect", b"transfer-encoding"}
)
_SIGNED_FOR = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/[^/]+/(?P<service>[^/]+)/aws4_request")
_ASSUMED_ROLE = re.compile(r"arn:(aws[\w-]*):sts::(\d{12}):assumed-role/([^/]+)/.+")


@dataclass(frozen=True)
class Authorizer:
    """Authenticates and authorizes requests.

    :ivar emulator_port: the emulator's port on 127.0.0.1.
    :ivar iam: a client that may simulate policies.
    """

    emulator_port: int
    iam: IAMClient

    async def authorize_invocation(self, request: Request, payload: bytes, endpoint: Endpoint) -> None:
        """Check that this endpoint exists and that the caller may invoke it.

        :raises AccessDeniedError: if a policy forbids it or none allows it.
        :raises NotFoundError: if there is no such runtime or endpoint.
        :raises AgentCoreError: if the credentials or the signature are invalid, or the emulator fails.
        """
        await self._forward(request, payload, endpoint, {}, b"")

    async def authorize_stop(self, request: Request, payload: bytes, endpoint: Endpoint) -> None:
        """Check that the caller may stop sessions of this endpoint.

        The emulator has no StopRuntimeSession: it says who signed the request, and simulates their policies.

        :raises AccessDeniedError: if a policy forbids it or none allows it.
        :raises AgentCoreError: if the credentials or the signature are invalid, or the emulator fails.
        """
        identity = await self._forward(request, payload, endpoint, _ASK_STS_WHO, _ASK_STS_WHO_FORM)
        caller_arn = ElementTree.fromstring(identity).findtext(_STS_ARN, "")  # noqa: S314 - our own child's
        if caller_arn.endswith(":root"):
            return
        for resource_arn in (endpoint.runtime_arn, endpoint.arn):
            if not await asyncio.to_thread(self._policies_allow, caller_arn, resource_arn):
                raise AccessDeniedError(
                    f"User: {caller_arn} is not authorized to perform: {_STOP} on resource: {resource_arn} "
                    f"because no identity-based policy allows the {_STOP} action"
                )

    async def _forward(
        self, request: Request, payload: bytes, endpoint: Endpoint, target: Mapping[bytes, bytes], form: bytes
    ) -> bytes:
        _check_signed(request)
        headers = [(name, value) for name, value in request.headers.raw if name not in _REPLACED_HEADERS]
        payload_hash = (b"x-amz-content-sha256", hashlib.sha256(payload).hexdigest().encode())
        path: bytes = request.scope["raw_path"] + b"?" + request.scope["query_string"]
        asked = exchange(self.emulator_port, "POST", path, [*headers, payload_hash, *target.items()], form)
        try:
            async with asyncio.timeout(_EMULATOR_SECONDS), asked as answer:
                body = await answer.body()
        except (ConnectionLostError, TimeoutError) as error:
            raise AgentCoreError(f"The emulator on port {self.emulator_port} does not answer: {error}") from error
        if answer.status != HTTPStatus.OK:
            raise _as_error(answer, body, endpoint)
        return body

    def _policies_allow(self, caller_arn: str, resource_arn: str) -> bool:
        simulated = self.iam.simulate_principal_policy(
            PolicySourceArn=_ASSUMED_ROLE.sub(r"arn:\1:iam::\2:role/\3", caller_arn),
            ActionNames=[_STOP],
            ResourceArns=[resource_arn],
        )
        return all(result["EvalDecision"] == "allowed" for result in simulated["EvaluationResults"])


def _check_signed(request: Request) -> None:
    """Refuse what the emulator would take for a request to S3: one without a signature, or signed for S3."""
    signature = _SIGNED_FOR.match(request.headers.get("Authorization", ""))
    if signature is None:
        raise NamedError("MissingAuthenticationTokenException", HTTPStatus.FORBIDDEN, "Missing Authentication Token")
    if signature["service"] != "bedrock-agentcore":
        message = "Credential should be scoped to correct service: 'bedrock-agentcore'."
        raise NamedError("InvalidSignatureException", HTTPStatus.FORBIDDEN, message)


def _as_error(answer: Answer, body: bytes, endpoint: Endpoint) -> AgentCoreError:
    code, message = _code_and_message(answer, body)
    match code:
        case AccessDeniedError.code:
            return AccessDeniedError(message)
        case NotFoundError.code:
            return NotFoundError(
                f"No endpoint or agent found with qualifier '{endpoint.name}' for agent '{endpoint.runtime_arn}'"
            )
        case _:
            return NamedError(_JSON_NAMES.get(code, code), answer.status, message)


def _code_and_message(answer: Answer, body: bytes) -> tuple[str, str]:
    try:
        if body.startswith(b"<"):
            document = ElementTree.fromstring(body)  # noqa: S314 - our own child's
            found = {element.tag.rpartition("}")[2]: element.text or "" for element in document.iter()}
            return found["Code"], found["Message"]
        fields: dict[str, Any] = json.loads(body)
        code = answer.headers.get(b"x-amzn-errortype", b"").decode() or fields["__type"]
        return code, fields.get("message") or fields["Message"]
    except (ValueError, LookupError, ElementTree.ParseError):
        return "InternalServerException", f"The emulator answered {answer.status}: {body[:500]!r}"
