"""The protocol of AgentCore's data plane: requests and their limits, errors and their codes."""
