"""CloudFront: the distribution in front of the load balancer."""

from functools import cached_property
from typing import cast

from tally.aws.inventory.resources import Resource
from tally.aws.inventory.service import Service


class CloudFront(Service):
    api = "cloudfront"
    tagging = ("list_tags_for_resource", "Resource", "Tags.Items")

    @cached_property
    def distribution(self) -> Resource | None:
        for listed in self.all("list_distributions", "DistributionList.Items"):
            origins = listed["Origins"]["Items"]
            if any(it["DomainName"] == self.aws.elbv2.load_balancer["DNSName"] for it in origins):
                answer = self.client.get_distribution(Id=listed["Id"])
                return cast("Resource", answer["Distribution"])
        return None

    def vpc_origin(self, identifier: str) -> Resource:
        answer = self.client.get_vpc_origin(Id=identifier)
        return cast("Resource", answer["VpcOrigin"])
