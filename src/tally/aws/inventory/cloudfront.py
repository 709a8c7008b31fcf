"""CloudFront: the distribution in front of the load balancer."""

from functools import cached_property
from typing import cast

from tally.aws.inventory.resources import Resource, tags_of
from tally.aws.inventory.service import Service


class CloudFront(Service):
    api = "cloudfront"

    @cached_property
    def distribution(self) -> Resource | None:
        for listed in self._distributions():
            origins = listed["Origins"]["Items"]
            if any(it["DomainName"] == self.aws.elbv2.load_balancer["DNSName"] for it in origins):
                answer = self.client.get_distribution(Id=listed["Id"])
                return cast("Resource", answer["Distribution"])
        return None

    def _distributions(self) -> list[Resource]:
        pages = self.client.get_paginator("list_distributions").paginate()
        return [it for page in pages for it in page["DistributionList"].get("Items", [])]

    def vpc_origin(self, identifier: str) -> Resource:
        answer = self.client.get_vpc_origin(Id=identifier)
        return cast("Resource", answer["VpcOrigin"])

    def tags(self, arn: str) -> dict[str, str]:
        answer = self.client.list_tags_for_resource(Resource=arn)
        return tags_of({"Tags": answer["Tags"]["Items"]})
