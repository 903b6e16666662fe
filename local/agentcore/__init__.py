"""AgentCore's data plane: the server that runs agents as AgentCore would.

Owns the server: its thread, its paths, who may call. `environments` has sessions and the processes behind them,
`protocol` the form of requests and errors. The emulator provides the control plane, IAM and logs, reached by URL and
client: nothing here imports it.
"""
