"""CloudFront: the distribution in front of the load balancer."""

from functools import cached_property
from typing import cast

import jmespath

from tally.aws.inventory.resources import NotFound, Resource
from tally.aws.inventory.service import Service


class CloudFront(Service):
    api = "cloudfront"
    tagging = ("list_tags_for_resource", "Resource", "Tags.Items")

    @cached_property
    def distribution(self) -> Resource:
        for listed in self.all("list_distributions", "DistributionList.Items"):
            origins = listed["Origins"]["Items"]
            if any(it["DomainName"] == self.aws.elbv2.load_balancer["DNSName"] for it in origins):
                answer = self.client.get_distribution(Id=listed["Id"])
                return cast("Resource", answer["Distribution"])
        raise NotFound("a distribution of CloudFront that leads to the load balancer")

    @property
    def settings(self) -> Resource:
        return dict(self.distribution["DistributionConfig"])

    @property
    def certificate(self) -> str | None:
        """The ARN of the domain's certificate, or None where CloudFront's own name serves."""
        return self.settings["ViewerCertificate"].get("ACMCertificateArn") or None

    @cached_property
    def vpc_origins(self) -> list[Resource]:
        """The distribution's origins inside a network."""
        found = jmespath.search("Origins.Items[].VpcOriginConfig.VpcOriginId", self.settings)
        return [self.client.get_vpc_origin(Id=identifier)["VpcOrigin"] for identifier in found]
