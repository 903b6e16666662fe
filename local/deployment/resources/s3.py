"""S3 buckets, what guards them, and objects."""

from __future__ import annotations

from typing import Any

from local.deployment.resources.assets import file_bytes
from local.deployment.resources.resource import Created, Inputs, Resource, pascal, tag_list


def bucket(new: Resource) -> Created:
    """A bucket; everything else about it is a resource of its own."""
    new.inputs.ignore("forceDestroy", reason="nothing is destroyed here: the emulator is discarded")
    name = new.physical_name("bucket")
    s3 = new.emulator.client("s3")
    s3.create_bucket(Bucket=name)
    if tags := new.inputs.take("tags"):
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tag_list(tags)})
    return Created(name, {"bucket": name, "arn": f"arn:aws:s3:::{name}", "region": s3.meta.region_name})


def versioning(new: Resource) -> Created:
    """Whether overwritten objects are kept."""
    name = new.inputs.require("bucket")
    configuration: Any = {"Status": new.inputs.block("versioningConfiguration").require("status")}
    new.emulator.client("s3").put_bucket_versioning(Bucket=name, VersioningConfiguration=configuration)
    return Created(name, {})


def public_access_block(new: Resource) -> Created:
    """Which public access is blocked."""
    name = new.inputs.require("bucket")
    flags = new.inputs.some("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    new.emulator.client("s3").put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=pascal(flags))
    return Created(name, {})


def ownership_controls(new: Resource) -> Created:
    """Who owns an object that another account puts."""
    name = new.inputs.require("bucket")
    rules: Any = [{"ObjectOwnership": new.inputs.block("rule").require("objectOwnership")}]
    new.emulator.client("s3").put_bucket_ownership_controls(Bucket=name, OwnershipControls={"Rules": rules})
    return Created(name, {})


def encryption(new: Resource) -> Created:
    """How objects are encrypted by default."""
    name = new.inputs.require("bucket")
    rules: Any = [_encryption_rule(rule) for rule in new.inputs.blocks("rules")]
    new.emulator.client("s3").put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules})
    return Created(name, {})


def lifecycle(new: Resource) -> Created:
    """When objects expire."""
    name = new.inputs.require("bucket")
    rules: Any = [_lifecycle_rule(rule) for rule in new.inputs.blocks("rules")]
    new.emulator.client("s3").put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    return Created(name, {})


def policy(new: Resource) -> Created:
    """The bucket's own policy."""
    name = new.inputs.require("bucket")
    new.emulator.client("s3").put_bucket_policy(Bucket=name, Policy=new.inputs.require("policy"))
    return Created(name, {})


def bucket_object(new: Resource) -> Created:
    """An object with the content of its source."""
    inputs = new.inputs
    inputs.ignore("sourceHash", reason="it tells Pulumi when to upload again; here everything is uploaded")
    source = inputs.take("source")
    body = inputs.require("content").encode() if source is None else file_bytes(source)
    name, key = inputs.require("bucket"), inputs.require("key")
    reply = new.emulator.client("s3").put_object(
        Bucket=name, Key=key, Body=body, **pascal(inputs.some("contentType", "metadata"))
    )
    outputs = {"etag": reply["ETag"].strip('"'), "versionId": reply.get("VersionId", "")}
    return Created(key, {**outputs, "arn": f"arn:aws:s3:::{name}/{key}"})


def _encryption_rule(rule: Inputs) -> dict[str, Any]:
    default = rule.block("applyServerSideEncryptionByDefault")
    renamed = {"SSEAlgorithm": default.require("sseAlgorithm")}
    if key := default.take("kmsMasterKeyId"):
        renamed["KMSMasterKeyID"] = key
    return {"ApplyServerSideEncryptionByDefault": renamed, **pascal(rule.some("bucketKeyEnabled"))}


def _lifecycle_rule(rule: Inputs) -> dict[str, Any]:
    return {
        "ID": rule.require("id"),
        "Filter": pascal(rule.take("filter", {})),
        **pascal(rule.some("status", "expiration", "noncurrentVersionExpiration", "abortIncompleteMultipartUpload")),
    }
