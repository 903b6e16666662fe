"""An agent that tells what it shares with other clones of one prepared process, and what it has for itself.

Packed as `main.py` into a runtime's code, beside the real agent's modules; tests don't import it.
"""

from __future__ import annotations

import os
import random
import time
from itertools import islice
from typing import Any

from bedrock_agentcore import BedrockAgentCoreApp

from runtime.agent.identity import environment_id
from runtime.agent.patience import conflict_pauses
from runtime.journal.records import new_event_id

app = BedrockAgentCoreApp()
LOADED_AT = time.time()
LOADED_BY = os.getpid()


@app.entrypoint
def handle(_: Any) -> dict[str, Any]:
    drawn_first = random.random()
    return {
        "own": {
            "environment": environment_id(),
            "event": new_event_id(),
            "jitter": list(islice(conflict_pauses(), 3)),
            "drawn": random.random(),
            "pid": os.getpid(),
            "group": os.getpgid(0),
            "home": os.environ["HOME"],
            "token": os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"],
        },
        "shared": {"drawnFirst": drawn_first, "loadedAt": LOADED_AT, "loadedBy": LOADED_BY},
    }


if __name__ == "__main__":
    app.run(port=1)
