"""What each Pulumi resource type means in the emulator: one function per type, one module per service.

A module knows both sides of one service: the inputs as Pulumi's provider names them, and the boto3 calls that the
provider would make. `local.deployment.provider` lists every function by its type token.
"""
