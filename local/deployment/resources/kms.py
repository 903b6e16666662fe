"""KMS keys."""

from __future__ import annotations

from local.deployment.resources.resource import Created, Resource, pascal


def key(new: Resource) -> Created:
    """A symmetric key with its policy."""
    inputs, kms = new.inputs, new.emulator.client("kms")
    inputs.ignore("deletionWindowInDays", reason="nothing is destroyed here: the emulator is discarded")
    tags = [{"TagKey": name, "TagValue": value} for name, value in inputs.take("tags", {}).items()]
    options = pascal(inputs.some("description", "policy", "keyUsage", "multiRegion"))
    created = kms.create_key(Tags=tags, **options)["KeyMetadata"]
    key_id: str = created["KeyId"]
    if inputs.take("enableKeyRotation"):
        kms.enable_key_rotation(KeyId=key_id, **pascal(inputs.some("rotationPeriodInDays")))
    return Created(key_id, {"keyId": key_id, "arn": created["Arn"]})


def alias(new: Resource) -> Created:
    """A name for a key."""
    name, target = new.physical_name(), new.inputs.require("targetKeyId")
    kms = new.emulator.client("kms")
    kms.create_alias(AliasName=name, TargetKeyId=target)
    [arn] = [each["AliasArn"] for each in kms.list_aliases(KeyId=target)["Aliases"] if each["AliasName"] == name]
    return Created(name, {"name": name, "arn": arn})
