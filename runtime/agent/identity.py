"""What one execution environment doesn't share with another: made at its first invocation, never when it starts.

Under AgentCore's platform version V2 a process starts once per runtime version, a snapshot is taken at its first
healthy /ping, and every environment is restored from that. So all of them have whatever is made earlier: ids, the state
of `random`, times. Until then `time.monotonic()` stands still, and hostname and process id are the same everywhere.
https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-v2-optimize.html
"""

import random
import uuid
from functools import cache

from runtime.agent import telemetry


@cache
def environment_id() -> str:
    """Return the id of the execution environment that this process is."""
    # For what others draw from it: botocore's back-off, the ids of OpenTelemetry's spans.
    random.seed()
    made = str(uuid.uuid4())
    telemetry.name_instance(made)
    return made
