"""Temporary credentials of the agents' execution roles.

Owns one set per role, renewed well before it expires. Agents fetch them over HTTP in the format of the container
credential provider, as they would from the metadata service on AWS, so that they never expire, however long an
environment or a spare lives: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from local.agentcore.protocol.errors import RuntimeClientError

if TYPE_CHECKING:
    from mypy_boto3_sts import STSClient

# Every role may be assumed for an hour. botocore renews credentials with less than 15 minutes left.
_DURATION = timedelta(hours=1)
_RENEWED_WHEN_LEFT = timedelta(minutes=30)


@dataclass(frozen=True)
class RoleCredentials:
    """One set of temporary credentials.

    :ivar expiration: timezone-aware.
    """

    access_key_id: str
    secret_access_key: str
    session_token: str
    expiration: datetime

    def as_document(self) -> dict[str, str]:
        """The JSON document that the container credential provider expects."""
        return {
            "AccessKeyId": self.access_key_id,
            "SecretAccessKey": self.secret_access_key,
            "Token": self.session_token,
            "Expiration": self.expiration.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


class RoleCredentialsStore:
    """Credentials by role ARN.

    :param sts: a client whose identity is trusted by every execution role.
    """

    def __init__(self, sts: STSClient) -> None:
        self._sts = sts
        self._by_role: dict[str, RoleCredentials] = {}

    async def credentials_of(self, role_arn: str) -> RoleCredentials:
        """Credentials with at least half an hour left.

        :raises RuntimeClientError: if the role does not exist or can't be assumed.
        """
        known = self._by_role.get(role_arn)
        if known is None or known.expiration - datetime.now(UTC) < _RENEWED_WHEN_LEFT:
            self._by_role[role_arn] = known = await asyncio.to_thread(self._assume, role_arn)
        return known

    def _assume(self, role_arn: str) -> RoleCredentials:
        try:
            answer = self._sts.assume_role(
                RoleArn=role_arn,
                RoleSessionName="BedrockAgentCore",
                DurationSeconds=int(_DURATION.total_seconds()),
            )["Credentials"]
        except (ClientError, BotoCoreError) as error:
            raise RuntimeClientError(f"The execution role {role_arn} can't be assumed: {error}") from error
        return RoleCredentials(
            answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"], answer["Expiration"]
        )
