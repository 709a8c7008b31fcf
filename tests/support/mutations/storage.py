"""What breaks the buckets."""

from tests.support.mutations.declaration import breaks

breaks(
    "storage-buckets",
    lose_a_bucket=lambda cloud: cloud.s3.delete_bucket(Bucket=cloud.bucket("releases")),
)

breaks(
    "storage-tls",
    let_plain_http_in=lambda cloud: cloud.s3.delete_bucket_policy(
        Bucket=cloud.bucket("access-logs")
    ),
)

breaks(
    "storage-private",
    make_a_bucket_public=lambda cloud: cloud.s3.delete_public_access_block(
        Bucket=cloud.bucket("denied-traffic")
    ),
)

breaks(
    "storage-owner",
    let_others_own_objects=lambda cloud: cloud.s3.put_bucket_ownership_controls(
        Bucket=cloud.bucket("releases"),
        OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]},
    ),
)

breaks(
    "storage-lifecycle",
    keep_objects_for_ever=lambda cloud: cloud.s3.delete_bucket_lifecycle(
        Bucket=cloud.bucket("access-logs")
    ),
)

breaks(
    "storage-encrypted",
    store_objects_in_plain=lambda cloud: cloud.s3.delete_bucket_encryption(
        Bucket=cloud.bucket("denied-traffic")
    ),
)

breaks(
    "storage-state",
    forget_versions_of_the_state=lambda cloud: cloud.s3.put_bucket_versioning(
        Bucket=cloud.bucket("state"), VersioningConfiguration={"Status": "Suspended"}
    ),
)
