"""What the parts say to each other: requests, the state machine's start, the invoker's job for the agent.

Each message is written and read in one module, with the rules that its reader holds it to. Standard library only:
the invoker's zip carries this package. What is stored is `runtime.journal`'s.
"""
