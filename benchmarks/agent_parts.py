"""The agent's own parts in the benchmark's process, against an emulator."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import boto3

from benchmarks.agent_app import PROMPT, Services
from runtime.agent.artifacts import ArtifactStore
from runtime.agent.attempt import Attempt
from runtime.agent.run_clock import RunClock
from runtime.agent.step_journal import Stores
from runtime.agent.turns import TurnStore
from runtime.contract.job import Job
from runtime.contract.request import RunRequest
from runtime.contract.segment import Segment
from runtime.journal.claims import tool_claims
from runtime.journal.client import CLIENT_CONFIG
from runtime.journal.reader import JournalReader
from runtime.journal.writer import JournalWriter, Standing

LEASE_SECONDS = 120


class AgentParts:
    """What an attempt writes with.

    :ivar stores: the bucket and the journal, as the agent has them
    """

    def __init__(self, service: Services) -> None:
        environ = service.environ
        key: dict[str, Any] = {
            "region_name": environ["AWS_REGION"],
            "endpoint_url": environ["AWS_ENDPOINT_URL"],
            "aws_access_key_id": environ["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": environ["AWS_SECRET_ACCESS_KEY"],
        }
        table: Any = boto3.client("dynamodb", config=CLIENT_CONFIG, **key)
        bucket: Any = boto3.client("s3", **key)
        self._journal = JournalWriter(table, environ["JOURNAL_TABLE"], ttl_days=90)
        self.reader = JournalReader(table, environ["JOURNAL_TABLE"])
        self.stores = Stores(
            ArtifactStore(bucket, environ["ARTIFACT_BUCKET"]),
            TurnStore(bucket, environ["ARTIFACT_BUCKET"]),
            partial(tool_claims, table, environ["JOURNAL_TABLE"]),
        )

    def attempt(self, session_id: str) -> Attempt:
        """Return a run's first attempt."""
        now = datetime.now(UTC)
        job = Job(session_id, RunRequest(PROMPT), 1, Segment(3), now=now, seconds_left=3600)
        return Attempt(job, self._journal, clock=RunClock(now), environment_id="here", lease_seconds=LEASE_SECONDS)

    def append(self, session_id: str, status: str, **fields: Any) -> None:
        """Add an event of that attempt."""
        event = self._journal.stamp(
            session_id, status, attempt=1, environment_id="here", lease_seconds=LEASE_SECONDS, **fields
        )
        self._journal.append_as_attempt([event], Standing(1, 3))
