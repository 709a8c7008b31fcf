"""KMS: whose a key is."""

from tally.aws.inventory.service import Service


class KMS(Service):
    api = "kms"

    def tags(self, arn: str) -> dict[str, str]:
        listed = self.client.list_resource_tags(KeyId=arn)["Tags"]
        return {it["TagKey"]: it["TagValue"] for it in listed}
