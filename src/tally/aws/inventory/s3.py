"""S3: buckets and their settings."""

import json
from functools import cached_property
from typing import Final, cast

from botocore.exceptions import ClientError

from tally.aws.inventory.resources import Resource, statements
from tally.aws.inventory.service import Service

# How AWS ends the codes of errors that say that a setting was never made.
_NEVER_MADE: Final = ("NotFoundError", "NotFoundException")


class S3(Service):
    api = "s3"

    @cached_property
    def buckets(self) -> list[str]:
        return [it["Name"] for it in self.own(self.all("list_buckets", "Buckets"), "Name")]

    def setting(self, operation: str, bucket: str) -> Resource:
        """One setting of a bucket; empty where it was never made."""
        try:
            return cast("Resource", getattr(self.client, operation)(Bucket=bucket))
        except ClientError as error:
            # NoSuchBucketPolicy, NoSuchLifecycleConfiguration and so on; not NoSuchBucket.
            code = error.response["Error"]["Code"]
            if (code.startswith("NoSuch") and code != "NoSuchBucket") or code.endswith(_NEVER_MADE):
                return {}
            raise

    def policy(self, bucket: str) -> list[Resource]:
        text = self.setting("get_bucket_policy", bucket).get("Policy")
        return statements(json.loads(text)) if text else []
