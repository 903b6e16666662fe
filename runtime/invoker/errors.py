"""Why an agent could not be started, one class per situation.

The names are interface: the state machine's Retry and Catch match on them (`components/workflow_definition.py`),
and so they do on `InvalidRequest`, `RunClosed`, `RunWaiting`, `JournalUnavailable` and `JournalDenied` of the journal.
"""

import re

from botocore.exceptions import ClientError, NoCredentialsError, ParamValidationError


class InvokerError(Exception):
    """Base of the errors of this package."""


class AgentThrottled(InvokerError):
    """AgentCore is at its request rate or at its limit of sessions; retry for a long time."""


class AgentUnavailable(InvokerError):
    """Transient failure or timeout of AgentCore or the agent; retry a few times."""


class SessionInTransition(InvokerError):
    """The session's environment is being made or taken down, for up to a minute; retry for longer than that."""


class AgentRefused(InvokerError):
    """The agent itself answered that it won't do this."""


class AgentCallDenied(InvokerError):
    """AgentCore won't take the call: a missing permission, no such runtime, an invalid argument."""


class StopUnknown(InvokerError):
    """This function's boto3 is too old to stop a session: `stop_runtime_session` came between 1.40.4 and 1.40.48."""


class RunTimedOut(InvokerError):
    """The run's deadline passed before this attempt could be started."""


THROTTLED = {402, 429}
_REFUSED = re.compile(r"\((4\d\d)\)")


def from_boto(error: Exception) -> InvokerError:
    """Return what a failed call of AgentCore means.

    An answer of the agent's own reaches the caller as 424, with the agent's code in the message only:
    https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-http-protocol-contract.html
    """
    if not isinstance(error, ClientError):
        final = isinstance(error, ParamValidationError | NoCredentialsError)
        return (AgentCallDenied if final else AgentUnavailable)(str(error))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status in THROTTLED:
        return AgentThrottled(str(error))
    if status == 409:
        return SessionInTransition(str(error))
    if status == 424 and _REFUSED.search(str(error)):
        return AgentRefused(str(error))
    if status == 424 or status >= 500:
        return AgentUnavailable(str(error))
    return AgentCallDenied(str(error))
