"""The runbook: what an operator does with runs, for notebooks and for the command `runbook`.

    import runbook
    rb = runbook.connect("local")            # or any Pulumi stack
    session_id = rb.trigger("Why did costs rise in October?")
    for event in rb.watch(session_id, timeout_seconds=600):
        print(event.status)
    print(rb.report(session_id))

Owns reading, explaining and steering runs from outside. It writes to the journal in two places only, `cancel`
and `answer`; everything else that a run does is the state machine's and the agent's.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runbook.connection import connect, connect_embedded
    from runbook.runbook import Runbook

__all__ = ["Runbook", "connect", "connect_embedded"]


def __getattr__(name: str) -> Any:
    # Not before they are asked for: they import boto3, and the command line has to be ready for a Ctrl-C by then.
    if name in ("connect", "connect_embedded"):
        from runbook import connection

        return getattr(connection, name)
    if name == "Runbook":
        from runbook.runbook import Runbook

        return Runbook
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
