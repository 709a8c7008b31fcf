"""KMS: whose a key is."""

from tally.aws.inventory.service import Service


class KMS(Service):
    api = "kms"
    tagging = ("list_resource_tags", "KeyId", "Tags[].{Key: TagKey, Value: TagValue}")
