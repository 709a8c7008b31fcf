"""Buckets: all that the deployment has, and what their settings are."""

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import Resource
from tally.aws.predicates import given, includes
from tally.aws.requirement import Concern, Resources, Verdict, verdict

concern = Concern("Storage")
requires = concern.requires

_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


def _setting(operation: str, prefix: str = "") -> Resources:
    """Buckets whose names go on like this after the deployment's, each with one of its settings."""
    return lambda aws: (
        (bucket, aws.s3.setting(operation, bucket))
        for bucket in aws.s3.buckets
        if bucket.startswith(f"{aws.name}-{prefix}")
    )


requires(
    "storage-buckets", "There are buckets for access logs, flow logs, state and releases"
).names(
    "S3",
    lambda aws: aws.s3.buckets,
    *("{name}-access-logs-{id}", "{name}-denied-traffic-{id}"),
    *("{name}-state-{id}", "{name}-releases-{id}"),
)


@requires("storage-tls", "Buckets are reached over TLS only", "S3.5").each(
    lambda aws: ((it, {"Name": it, "Policy": aws.s3.policy(it)}) for it in aws.s3.buckets)
)
def _tls(_: Inventory, bucket: Resource) -> Verdict:
    refused = any(_refuses_plain(it, bucket["Name"]) for it in bucket["Policy"])
    return refused, f"plain http is {'refused' if refused else 'let in'}"


def _refuses_plain(statement: Resource, bucket: str) -> bool:
    secure = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return (
        statement["Effect"] == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Action") in (["s3:*"], ["*"])
        and {f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"} <= set(statement["Resource"])
        and secure in ("false", ["false"], False)
    )


@requires("storage-private", "Buckets block public access", "S3.8").each(
    _setting("get_public_access_block")
)
def _private(_: Inventory, setting: Resource) -> Verdict:
    blocks = setting.get("PublicAccessBlockConfiguration", {})
    return verdict("blocks", [name for name in _BLOCKS if blocks.get(name)], includes(_BLOCKS))


requires("storage-owner", "Access lists are off: the owner owns every object", "S3.12").field(
    _setting("get_bucket_ownership_controls"),
    "OwnershipControls.Rules[].ObjectOwnership",
    ["BucketOwnerEnforced"],
)
requires("storage-lifecycle", "Old objects are removed", "S3.13").field(
    _setting("get_bucket_lifecycle_configuration"),
    "Rules[?Status=='Enabled'].[ID || '-'] | []",
    given,
    "rules",
)
requires("storage-encrypted", "Buckets are encrypted").field(
    _setting("get_bucket_encryption"),
    "ServerSideEncryptionConfiguration.Rules[].ApplyServerSideEncryptionByDefault.SSEAlgorithm",
    given,
)
requires("storage-state", "Terraform's state keeps its older versions").field(
    _setting("get_bucket_versioning", "state-"), "Status", "Enabled", "versioning"
)
