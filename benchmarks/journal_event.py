"""The journal: what one event costs over the raw call that puts the very same item.

For the plain append the baseline is `put_item`; for the append under an open run, whose guard is part of the design,
it is `transact_write_items` with the same two actions. Clients exist already, and the server is a loopback stub.
"""

from __future__ import annotations

from typing import Any

import boto3

from benchmarks.progress import progress
from benchmarks.rows import Row, ratio_row
from benchmarks.samples import interleaved
from benchmarks.sent import sent_by
from benchmarks.stub_server import stub_server
from local.emulator.clients import REGION
from runtime.journal.client import CLIENT_CONFIG
from runtime.journal.vocabulary import Status
from runtime.journal.writer import JournalWriter

COUNT = 600
SESSION_ID = "0c8f3d2a-1f7e-4a0c-9a53-6f2f6a1f0b11"
OWN_WORK = "50 us of our own, stamping and wire form, to 700 of botocore's; on a busy machine more"
FIELDS: dict[str, Any] = {
    "attempt": 1,
    "environment_id": "7d3c9a1e-0b44-4f1b-8a7e-2f5a1c9d0e33",
    "step": "analyst",
    "lease_seconds": 120,
    "detail": {"seconds": 81.204, "tokens": {"inputTokens": 1822, "outputTokens": 977}},
}


def rows(count: int = COUNT) -> list[Row]:
    """Measure the plain append and the one that needs an open run."""
    progress(f"journal: {count} events of each kind and their raw calls, in turns")
    with stub_server() as server:
        client = boto3.client(
            "dynamodb",
            region_name=REGION,
            endpoint_url=server.url,
            aws_access_key_id="the-stub",
            aws_secret_access_key="takes any",  # noqa: S106
            config=CLIENT_CONFIG,
        )
        journal = JournalWriter(client, "journal", ttl_days=90)

        def append() -> None:
            journal.append(journal.stamp(SESSION_ID, Status.AGENT_BACKGROUND_TASK_HEARTBEAT, **FIELDS))

        def append_while_open() -> None:
            journal.append_while_open(journal.stamp(SESSION_ID, Status.AGENT_BACKGROUND_TASK_HEARTBEAT, **FIELDS))

        with sent_by(client) as sent:
            append()
            append_while_open()
        put, transaction = sent["PutItem"], sent["TransactWriteItems"]
        plain = interleaved(append, lambda: client.put_item(**put), count)
        guarded = interleaved(append_while_open, lambda: client.transact_write_items(**transaction), count)
    return [
        ratio_row(
            "journal: one event", *plain, target=1.10, baseline_is="raw put_item of the same item", reason=OWN_WORK
        ),
        ratio_row(
            "journal: one event of an open run",
            *guarded,
            target=1.10,
            baseline_is="raw transact_write_items of the same actions",
            reason=OWN_WORK,
        ),
    ]
