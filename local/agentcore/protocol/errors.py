"""The errors of AgentCore's data plane, as boto3 sees them.

Owns names, HTTP status codes and wording. Each class is a modelled error of InvokeAgentRuntime or
StopRuntimeSession; `local.agentcore.api` puts them on the wire.

https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-http-protocol-contract.html
"""

from __future__ import annotations

SEE_LOGS = "Please check your CloudWatch logs for more information."


class AgentCoreError(Exception):
    """A request ends in an error response; the message is for the caller.

    :ivar code: the error's name in the service model.
    :ivar status: its HTTP status code.
    """

    code: str = "InternalServerException"
    status: int = 500


class ValidationError(AgentCoreError):
    """The request is malformed."""

    code = "ValidationException"
    status = 400


class QuotaExceededError(AgentCoreError):
    """The account can't have another active session."""

    code = "ServiceQuotaExceededException"
    status = 402


class AccessDeniedError(AgentCoreError):
    """The caller is known but may not do this."""

    code = "AccessDeniedException"
    status = 403


class NotFoundError(AgentCoreError):
    """No such runtime, endpoint or session."""

    code = "ResourceNotFoundException"
    status = 404


class ConflictError(AgentCoreError):
    """The session is being provisioned or torn down; the same request may succeed in a moment."""

    code = "RetryableConflictException"
    status = 409


class RuntimeClientError(AgentCoreError):
    """The agent failed: it answered with an error, did not start, or died during the request."""

    code = "RuntimeClientError"
    status = 424


class GatewayTimeoutError(AgentCoreError):
    """The agent took longer than a synchronous request may; documented, but not in the service model."""

    code = "GatewayTimeoutException"
    status = 504


class NamedError(AgentCoreError):
    """Any other error, usually one passed on from the emulator.

    :ivar code: such as `SignatureDoesNotMatch`.
    :ivar status: usually 403.
    """

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
