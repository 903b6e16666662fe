"""The baseline of the agent's figures: the least that a BedrockAgentCoreApp can be."""

import os
from typing import Any

from bedrock_agentcore import BedrockAgentCoreApp

app = BedrockAgentCoreApp()


@app.entrypoint
async def invoke(payload: Any) -> Any:
    """Answer with what came."""
    return payload


if __name__ == "__main__":
    app.run(host=os.environ["HOST"], port=int(os.environ["PORT"]))
