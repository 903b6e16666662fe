"""What `protectData` means to Pulumi: options for everything that holds data, or without which it can't be read.

Protected, a resource makes `pulumi destroy` stop; retained, it stays in AWS even when Pulumi lets go of it. What guards
the data is kept as the data is: a bucket that outlives its policy and encryption stands open.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.settings import Settings


def kept(
    parent: pulumi.Resource, settings: Settings, depends_on: Sequence[pulumi.Resource] = ()
) -> pulumi.ResourceOptions:
    """Options of a component's child that is kept as long as its data is."""
    protect = settings.protect_data
    return pulumi.ResourceOptions(parent=parent, depends_on=list(depends_on), protect=protect, retain_on_delete=protect)
