"""A tool that any step may be given: the agent says how far it is, for whoever watches the run."""

from runtime.agent.tool_call import tool_call

MAX_CHARACTERS = 500


async def progress(text: str) -> str:
    """Tell those who wait for this work how far it is. Use it sparingly, at most once for each part of the work.

    Args:
        text: one short sentence
    """
    await tool_call().progress(text[:MAX_CHARACTERS])
    return "noted"
