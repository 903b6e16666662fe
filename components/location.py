"""Where a stack lives: the account, the region and the prefix of the names that must be fixed.

Most physical names are left to Pulumi's autonaming (see Pulumi.yaml); only names that must be known before the resource
exists are built from `prefix`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

# Of all names, a role's has the lowest limit, and this is the longest role; autonaming appends six digits.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MAX_NAME_LENGTH = 64
LONGEST_NAME = "trigger-schedule-role"


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
    def of(cls, parent: pulumi.Resource | None) -> Location:
        """Ask the provider of a resource's children for the account and region it deploys to.

        :raises pulumi.RunError: if the stack's name can't be part of every name
        """
        prefix = stack_prefix(pulumi.get_project(), pulumi.get_stack())
        asked = pulumi.InvokeOptions(parent=parent)
        return cls(
            account_id=aws.get_caller_identity_output(opts=asked).account_id,
            region=aws.get_region_output(opts=asked).region,
            prefix=prefix,
        )

    def arn(self, service: str, resource: pulumi.Input[str]) -> pulumi.Output[str]:
        """The ARN of a resource of this account and region, for policies that name it before it exists."""
        return pulumi.Output.format("arn:aws:{}:{}:{}:{}", service, self.region, self.account_id, resource)


def stack_prefix(project: str, stack: str) -> str:
    """The prefix of the names of a stack's resources.

    :raises pulumi.RunError: if a bucket can't have such a name, or a role's name would be too long
    """
    room = MAX_NAME_LENGTH - len(f"{project}--{LONGEST_NAME}-123456")
    if not re.fullmatch(r"[a-z][a-z0-9-]*", stack) or len(stack) > room:
        raise pulumi.RunError(
            f"The stack's name is {stack!r}, and part of every name in AWS; it must be at most {room} lowercase "
            "letters, digits and hyphens, a letter first."
        )
    return f"{project}-{stack}"
