"""The emulator: ministack as a child process, changed where it differs from AWS, and root's clients for it.

Owns every AWS service but AgentCore's data plane. It knows neither what is deployed into it nor who runs agents.
"""
