"""What AgentCore's data plane and its callers say to each other: requests and their limits, errors and their codes."""
