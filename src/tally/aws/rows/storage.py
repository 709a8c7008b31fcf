"""Buckets: all that the deployment has, and what their settings are."""

from collections.abc import Iterator

from tally.aws.account import Account, Thing
from tally.aws.requirement import Concern, Seen, equal, present

concern = Concern("Storage")

_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def versioned(account: Account, bucket: str) -> Seen:
    """Whether a bucket keeps what is replaced or deleted."""
    status = account.bucket_setting("get_bucket_versioning", bucket).get("Status")
    return equal(bucket, "versioning", status, "Enabled")


@concern.requires(
    "storage-buckets", "There are buckets for access logs, denied traffic, state and releases"
)
def _buckets(account: Account) -> Iterator[Seen]:
    wanted = {
        f"{account.name}-{what}-{account.id}"
        for what in ("access-logs", "denied-traffic", "state", "releases")
    }
    yield present("S3", wanted - set(account.buckets), ", ".join(account.buckets))


@concern.requires("storage-tls", "Buckets are reached over TLS only", "S3.5")
def _tls(account: Account) -> Iterator[Seen]:
    for bucket in account.buckets:
        refused = any(_refuses_plain(it, bucket) for it in account.bucket_policy(bucket))
        yield Seen(bucket, refused, f"plain http is {'refused' if refused else 'let in'}")


def _refuses_plain(statement: Thing, bucket: str) -> bool:
    secure = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return (
        statement["Effect"] == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Action") in (["s3:*"], ["*"])
        and {f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"} <= set(statement["Resource"])
        and secure in ("false", ["false"], False)
    )


@concern.requires("storage-private", "Buckets block public access", "S3.8")
def _private(account: Account) -> Iterator[Seen]:
    for bucket in account.buckets:
        found = account.bucket_setting("get_public_access_block", bucket)
        config = found.get("PublicAccessBlockConfiguration", {})
        missing = {name for name in _BLOCKS if not config.get(name)}
        yield present(bucket, missing, "blocks all four ways")


@concern.requires("storage-owner", "Access lists are off: the owner owns every object", "S3.12")
def _owner(account: Account) -> Iterator[Seen]:
    for bucket in account.buckets:
        found = account.bucket_setting("get_bucket_ownership_controls", bucket)
        rules = found.get("OwnershipControls", {}).get("Rules", [])
        owned = [rule["ObjectOwnership"] for rule in rules]
        yield equal(bucket, "ObjectOwnership", owned, ["BucketOwnerEnforced"])


@concern.requires("storage-lifecycle", "Old objects are removed", "S3.13")
def _lifecycle(account: Account) -> Iterator[Seen]:
    for bucket in account.buckets:
        found = account.bucket_setting("get_bucket_lifecycle_configuration", bucket)
        rules = [it.get("ID", "-") for it in found.get("Rules", []) if it["Status"] == "Enabled"]
        yield Seen(bucket, bool(rules), f"rules: {', '.join(rules) or 'none'}")


@concern.requires("storage-encrypted", "Buckets are encrypted")
def _encrypted(account: Account) -> Iterator[Seen]:
    for bucket in account.buckets:
        found = account.bucket_setting("get_bucket_encryption", bucket)
        rules = found.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
        used = [it["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for it in rules]
        yield Seen(bucket, bool(used), f"encryption = {', '.join(used) or 'none'}")


@concern.requires("storage-state", "Terraform's state keeps its older versions")
def _state(account: Account) -> Iterator[Seen]:
    for bucket in account.buckets:
        if bucket.startswith(f"{account.name}-state-"):
            yield versioned(account, bucket)
