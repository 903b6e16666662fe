"""Where a stack lives: the account, the region and the prefix of the names that must be fixed.

Most physical names are left to Pulumi's autonaming (see Pulumi.yaml); only names that someone outside has to know
before the resource exists are built from `prefix`.
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True)
class Location:
    """An account, a region, and a name unique to the stack in them.

    :ivar account_id: twelve digits
    :ivar region: such as us-east-1
    :ivar prefix: `{project}-{stack}`
    """

    account_id: pulumi.Output[str]
    region: pulumi.Output[str]
    prefix: str

    @classmethod
    def current(cls) -> Location:
        """Ask the provider for the account and the region it deploys to."""
        return cls(
            account_id=aws.get_caller_identity_output().account_id,
            region=aws.get_region_output().region,
            prefix=f"{pulumi.get_project()}-{pulumi.get_stack()}",
        )

    def arn(self, service: str, resource: pulumi.Input[str]) -> pulumi.Output[str]:
        """The ARN of a resource of this account and region, for policies that name it before it exists."""
        return pulumi.Output.format("arn:aws:{}:{}:{}:{}", service, self.region, self.account_id, resource)
