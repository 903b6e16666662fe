"""The embedded cloud: the whole system on one machine, with no AWS account, no Docker and no Pulumi CLI."""
