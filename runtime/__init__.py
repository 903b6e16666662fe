"""What runs in the cloud: the journal, the invoker Lambda and the agent. Nothing here imports pulumi."""
