"""Execution environments: a process that runs an agent, the session it belongs to, its credentials and its logs.

Owns their lives, from a runtime version in the control plane to the last log line. It knows neither HTTP's server side
nor who may call.
"""
