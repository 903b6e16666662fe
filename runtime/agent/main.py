"""What AgentCore starts: it serves /invocations and /ping.

In the bundle this file is at the root. HOST and PORT are for machines that run several environments;
AgentCore's contract is 0.0.0.0:8080
(https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-http-protocol-contract.html).
"""

import gc
import os
import sys

SHUTDOWN_SECONDS = 1
# Of the GIL. At the default 5 ms, a tool that computes delays /ping and acknowledgements three times as long.
SWITCH_INTERVAL_SECONDS = 0.0005

if __name__ == "__main__":
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    # Imported modules stay: collecting among them takes a third of the time until the first /ping.
    gc.disable()
    from runtime.agent import garbage
    from runtime.agent.entrypoint import app

    # Every environment is then restored from what this process is at its first /ping.
    if os.environ.get("PLATFORM_VERSION") == "V2":
        from runtime.agent.dependencies import warm_up

        warm_up()
    else:
        garbage.put_off()
    gc.freeze()
    gc.enable()
    app.run(
        # An environment is a machine of its own, reached through this interface only.
        host=os.environ.get("HOST", "0.0.0.0"),  # noqa: S104
        port=int(os.environ.get("PORT", "8080")),
        # A request that hangs must not use up the time for giving leases back.
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
