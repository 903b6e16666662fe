"""The agent: what runs in an AgentCore execution environment.

`main.py` serves, `entrypoint.py` acknowledges, `background.py` works on; `workflow.py` and `prompts/` are what a
developer of agents edits.
"""
