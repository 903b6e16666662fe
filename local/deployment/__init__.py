"""The unchanged Pulumi program, deployed into the emulator without the Pulumi CLI.

Owns what Pulumi's engine and its AWS provider do elsewhere: configuration, names, and one call per resource.
"""
