"""WAF: the web ACL in front of the services."""

from functools import cached_property
from typing import cast

from tally.aws.inventory.resources import Resource
from tally.aws.inventory.service import Service


class WAFv2(Service):
    api = "wafv2"
    tagging = ("list_tags_for_resource", "ResourceARN", "TagInfoForResource.TagList")

    @cached_property
    def web_acl(self) -> Resource | None:
        """The firewall that the public passes: CloudFront's."""
        arn = self.aws.cloudfront.settings.get("WebACLId", "")
        for acl in self.client.list_web_acls(Scope="CLOUDFRONT").get("WebACLs", []):
            if acl["ARN"] == arn:
                answer = self.client.get_web_acl(Name=acl["Name"], Id=acl["Id"], Scope="CLOUDFRONT")
                return cast("Resource", answer["WebACL"])
        return None
