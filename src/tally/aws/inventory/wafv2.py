"""WAF: the web ACL in front of the services."""

from functools import cached_property
from typing import cast

from botocore.exceptions import ClientError

from tally.aws.inventory.resources import Resource
from tally.aws.inventory.service import Service


class WAFv2(Service):
    api = "wafv2"
    tagging = ("list_tags_for_resource", "ResourceARN", "TagInfoForResource.TagList")

    @cached_property
    def web_acl(self) -> Resource | None:
        """The firewall that the public passes: CloudFront's where there is one."""
        waf = self.client
        if self.aws.cloudfront.distribution is not None:
            arn = self.aws.cloudfront.distribution["DistributionConfig"].get("WebACLId", "")
            listed = waf.list_web_acls(Scope="CLOUDFRONT").get("WebACLs", [])
            for acl in listed:
                if acl["ARN"] == arn:
                    answer = waf.get_web_acl(Name=acl["Name"], Id=acl["Id"], Scope="CLOUDFRONT")
                    return cast("Resource", answer["WebACL"])
            return None
        try:
            answer = waf.get_web_acl_for_resource(
                ResourceArn=self.aws.elbv2.load_balancer["LoadBalancerArn"]
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "WAFNonexistentItemException":
                return None
            raise
        return cast("Resource | None", answer.get("WebACL"))
