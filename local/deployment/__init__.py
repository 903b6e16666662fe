"""Deploys the unchanged Pulumi program into the emulator, without the Pulumi CLI.

Owns what Pulumi's engine and its AWS provider do otherwise: configuration, names, and one call per resource.
"""
