"""Buckets: all that the deployment has, and what their settings are."""

from collections.abc import Iterator

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import Resource
from tally.aws.requirement import Concern, Evidence, equal, present

concern = Concern("Storage")

_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def versioned(aws: Inventory, bucket: str) -> Evidence:
    """Whether a bucket keeps what is replaced or deleted."""
    status = aws.s3.setting("get_bucket_versioning", bucket).get("Status")
    return equal(bucket, "versioning", status, "Enabled")


@concern.requires(
    "storage-buckets", "There are buckets for access logs, flow logs, state and releases"
)
def _buckets(aws: Inventory) -> Iterator[Evidence]:
    wanted = {
        f"{aws.name}-{what}-{aws.id}"
        for what in ("access-logs", "denied-traffic", "state", "releases")
    }
    yield present("S3", wanted - set(aws.s3.buckets), ", ".join(aws.s3.buckets))


@concern.requires("storage-tls", "Buckets are reached over TLS only", "S3.5")
def _tls(aws: Inventory) -> Iterator[Evidence]:
    for bucket in aws.s3.buckets:
        refused = any(_refuses_plain(it, bucket) for it in aws.s3.policy(bucket))
        yield Evidence(bucket, refused, f"plain http is {'refused' if refused else 'let in'}")


def _refuses_plain(statement: Resource, bucket: str) -> bool:
    secure = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return (
        statement["Effect"] == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Action") in (["s3:*"], ["*"])
        and {f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"} <= set(statement["Resource"])
        and secure in ("false", ["false"], False)
    )


@concern.requires("storage-private", "Buckets block public access", "S3.8")
def _private(aws: Inventory) -> Iterator[Evidence]:
    for bucket in aws.s3.buckets:
        found = aws.s3.setting("get_public_access_block", bucket)
        config = found.get("PublicAccessBlockConfiguration", {})
        missing = {name for name in _BLOCKS if not config.get(name)}
        yield present(bucket, missing, "blocks all four ways")


@concern.requires("storage-owner", "Access lists are off: the owner owns every object", "S3.12")
def _owner(aws: Inventory) -> Iterator[Evidence]:
    for bucket in aws.s3.buckets:
        found = aws.s3.setting("get_bucket_ownership_controls", bucket)
        rules = found.get("OwnershipControls", {}).get("Rules", [])
        owned = [rule["ObjectOwnership"] for rule in rules]
        yield equal(bucket, "ObjectOwnership", owned, ["BucketOwnerEnforced"])


@concern.requires("storage-lifecycle", "Old objects are removed", "S3.13")
def _lifecycle(aws: Inventory) -> Iterator[Evidence]:
    for bucket in aws.s3.buckets:
        found = aws.s3.setting("get_bucket_lifecycle_configuration", bucket)
        rules = [it.get("ID", "-") for it in found.get("Rules", []) if it["Status"] == "Enabled"]
        yield Evidence(bucket, bool(rules), f"rules: {', '.join(rules) or 'none'}")


@concern.requires("storage-encrypted", "Buckets are encrypted")
def _encrypted(aws: Inventory) -> Iterator[Evidence]:
    for bucket in aws.s3.buckets:
        found = aws.s3.setting("get_bucket_encryption", bucket)
        rules = found.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
        used = [it["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for it in rules]
        yield Evidence(bucket, bool(used), f"encryption = {', '.join(used) or 'none'}")


@concern.requires("storage-state", "Terraform's state keeps its older versions")
def _state(aws: Inventory) -> Iterator[Evidence]:
    for bucket in aws.s3.buckets:
        if bucket.startswith(f"{aws.name}-state-"):
            yield versioned(aws, bucket)
