"""What `protectData` means to Pulumi: options for everything that holds data, or without which it can't be read.

A protected resource stops `pulumi destroy`; a retained one stays in AWS even when Pulumi drops it from its state.
Whatever guards the data is retained with it: a bucket that outlives its policy and encryption is exposed.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from components.settings import Settings


def data_options(
    parent: pulumi.Resource, settings: Settings, depends_on: Sequence[pulumi.Resource] = ()
) -> pulumi.ResourceOptions:
    """Options of a component's child that lives as long as its data."""
    protect = settings.protect_data
    return pulumi.ResourceOptions(parent=parent, depends_on=list(depends_on), protect=protect, retain_on_delete=protect)
