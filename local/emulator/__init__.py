"""The emulator: ministack as a child process, patched where it differs from AWS, and root's clients for it.

Owns every AWS service except AgentCore's data plane. It knows neither what is deployed into it nor what runs agents.
"""
