"""Certificate Manager: certificates."""

from typing import cast

from tally.aws.inventory.resources import Resource
from tally.aws.inventory.service import Service


class ACM(Service):
    api = "acm"

    def certificate(self, arn: str) -> Resource:
        answer = self.client.describe_certificate(CertificateArn=arn)
        return cast("Resource", answer["Certificate"])
