"""A tool of the workflow `follow_up` that changes something, if only the run's journal: a person approves each notice.

It stands for what is worth asking about: a mail, a ticket, a change. A step that has it names it in `approve`.
"""

from runtime.agent.tool_call import tool_call

MAX_CHARACTERS = 500


async def post_notice(text: str) -> str:
    """Post a notice where everybody sees it who looks at this run. A person is asked before it is posted.

    Args:
        text: one or two sentences that need no other context
    """
    await tool_call().progress(text[:MAX_CHARACTERS])
    return "posted"
