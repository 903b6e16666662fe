"""What each Pulumi resource type means in the emulator: one function a type, one module a service.

A module here knows both sides of one service: the inputs as Pulumi's provider names them and the boto3 calls
that the provider would make. Every function is entered under its type token in `local.deployment.provider`.
"""
