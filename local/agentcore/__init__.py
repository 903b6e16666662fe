"""AgentCore's data plane: the server that runs agents as AgentCore would.

Owns the server: its thread, its paths, who may call. Sessions and the processes behind them are in `environments`, what
a request and an error look like in `protocol`. The control plane, IAM and logs are the emulator's, reached by URL and
client: nothing here imports it.
"""
