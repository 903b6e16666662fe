"""From the name of a stack to a runbook that works on it.

A stack is either the one that the running embedded cloud has deployed, or one that Pulumi knows. Owns saying
plainly what is missing, and all that the runbook knows of the embedded cloud.
"""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore import exceptions
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    NoCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError

from local import stack_file
from local.emulator.clients import RootSession
from local.stack_file import LocalStack
from runbook.clients import Clients, config_of
from runbook.errors import CloudNotRunning, CredentialsUnusable, NoAnswer, StackNotDeployed, StackNotFound
from runbook.in_notebooks import show_errors_as_sentences
from runbook.outputs import StackOutputs
from runbook.runbook import Runbook

PROJECT = Path(__file__).resolve().parent.parent
EMBEDDED = "local"
PULUMI_TIMEOUT_SECONDS = 60
_START_AGAIN = "start it again with `make local`"


def connect(stack: str = EMBEDDED, *, environ: Mapping[str, str] = os.environ) -> Runbook:
    """Return the runbook of a deployed stack.

    :param stack: `local` for the embedded cloud, otherwise the name of a Pulumi stack (`dev`, `org/project/dev`)
    :param environ: `RUNBOOK_STACK_FILE` names another embedded cloud's description than `.local/stack.json`
    :raises CloudNotRunning: if the stack is the embedded cloud's and it isn't running
    :raises NoAnswer: if AWS doesn't answer
    :raises StackNotFound: if Pulumi has no stack of that name, or can't be asked
    :raises StackNotDeployed: if the stack has no outputs, or not all
    :raises CredentialsUnusable: if there are no AWS credentials, or not for the stack's account
    """
    show_errors_as_sentences()
    if stack == EMBEDDED:
        return _embedded(Path(environ.get("RUNBOOK_STACK_FILE") or stack_file.STACK_FILE))
    runbook = _deployed(stack)
    check_access(runbook)
    return runbook


def connect_embedded(stack: LocalStack) -> Runbook:
    """Return the runbook of an embedded cloud, whether it answers or not.

    :raises CloudNotRunning: if its description lacks outputs
    """
    return Runbook(*_access(stack, None))


def _access(stack: LocalStack, path: Path | None) -> tuple[StackOutputs, Clients]:
    session = RootSession(stack.endpoint_url, stack.key)

    def make(service: str) -> Any:
        if service == "bedrock-agentcore":
            # On a port of its own: one of the two may be gone.
            return session.client(service, config=config_of(service), endpoint_url=stack.agentcore_endpoint_url)
        client = session.client(service, config=config_of(service))
        if path:
            client.meta.events.register("after-call-error", gone)
        return client

    def gone(exception: Exception, **_context: object) -> None:
        if isinstance(exception, exceptions.ConnectionError | ConnectionClosedError):
            raise _no_cloud(path, exception) from None

    try:
        outputs = StackOutputs.from_mapping(stack.stack, stack.outputs)
    except StackNotDeployed:
        raise CloudNotRunning(
            "what runs is the embedded cloud of another version, which lacks outputs that this runbook needs: end "
            "it and start it again with `make local`"
        ) from None
    return outputs, Clients(make)


def _embedded(path: Path) -> Runbook:
    found = _described(path)

    def moved() -> tuple[StackOutputs, Clients] | None:
        """A notebook's runbook outlives its cloud: the next one has other ports, another key and other outputs."""
        nonlocal found
        before, found = found, _described(path)
        return None if found == before else _access(found, path)

    runbook = Runbook(*_access(found, path), moved=moved)
    try:
        check_access(runbook)
    except (CredentialsUnusable, NoAnswer) as error:
        # Whatever the port belongs to now, it isn't what wrote the file.
        raise _no_cloud(path, error) from error
    except ValueError as error:
        raise CloudNotRunning(f"{error}; {_START_AGAIN}") from error
    return runbook


def _no_cloud(path: Path | None, error: Exception) -> CloudNotRunning:
    return CloudNotRunning(f"{path} leads to no embedded cloud that runs ({error}): {_START_AGAIN}")


def _described(path: Path) -> LocalStack:
    try:
        return stack_file.read(path)
    except FileNotFoundError:
        raise CloudNotRunning("the embedded cloud is not running: start it with `make local`") from None
    except OSError as error:
        raise CloudNotRunning(f"{path} can't be read ({error.strerror}): {_START_AGAIN}") from error
    except ValueError as error:
        raise CloudNotRunning(f"{error}; {_START_AGAIN}") from error


def _deployed(stack: str) -> Runbook:
    outputs = StackOutputs.from_mapping(stack, pulumi_outputs(stack))
    try:
        session = boto3.Session(region_name=outputs.region)
    except ProfileNotFound as error:
        raise CredentialsUnusable(f"{error}: AWS_PROFILE names a profile that is not in ~/.aws/config") from error
    return Runbook(outputs, Clients.of_session(session))


def pulumi_outputs(stack: str) -> dict[str, object]:
    """Return the outputs of a stack as the Pulumi CLI prints them.

    :raises StackNotFound: if there is no such stack, no Pulumi CLI, or no answer within a minute
    :raises StackNotDeployed: if it was never deployed
    """
    command = ["pulumi", "stack", "output", "--json", "--non-interactive", "--stack", stack, "--cwd", str(PROJECT)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PULUMI_TIMEOUT_SECONDS, check=False)
    except FileNotFoundError:
        raise StackNotFound(
            f"the Pulumi CLI, which knows stack {stack!r}, is not on PATH: install it from "
            f"https://www.pulumi.com/docs/install/, or use --stack {EMBEDDED} for the embedded cloud"
        ) from None
    except subprocess.TimeoutExpired:
        raise StackNotFound(
            f"`pulumi stack output --stack {stack}` gave no answer within {PULUMI_TIMEOUT_SECONDS} s"
        ) from None
    if done.returncode != 0:
        raise StackNotFound(f"Pulumi has no outputs of stack {stack!r}: {_last_line(done.stderr)}")
    outputs: dict[str, object] = json.loads(done.stdout or "{}")
    if not outputs:
        raise StackNotDeployed(f"stack {stack!r} is not deployed: run `pulumi up --stack {stack}`")
    return outputs


def check_access(runbook: Runbook) -> None:
    """Find out with one call whether the stack can be reached at all.

    :raises NoAnswer: if nothing answers, or something else than AWS
    :raises CredentialsUnusable: if there are no credentials, they are refused, or they are another account's
    """
    outputs = runbook.outputs
    try:
        account = runbook.clients.sts.get_caller_identity()["Account"]
    except NoCredentialsError:
        raise CredentialsUnusable(
            f"there are no AWS credentials for account {outputs.account}: log in with `aws sso login`, or set "
            "AWS_PROFILE"
        ) from None
    except ClientError as error:
        raise CredentialsUnusable(f"AWS refuses the credentials: {error}") from error
    except BotoCoreError as error:
        raise NoAnswer(f"nothing usable answers in region {outputs.region}: {error}") from error
    except (ResponseParserError, LookupError) as error:
        raise NoAnswer(f"what answers in region {outputs.region} is not AWS") from error
    if account != outputs.account:
        raise CredentialsUnusable(
            f"the AWS credentials are for account {account}, and the stack is in account {outputs.account}, region "
            f"{outputs.region}: set AWS_PROFILE to a profile of that account"
        )


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it said nothing"
