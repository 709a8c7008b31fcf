"""The load balancer, CloudFront and the firewall."""

from collections.abc import Callable
from typing import Any

from tests.support.mutations.cloud.account import Account


class Ingress(Account):
    def balancer(self) -> str:
        found = self.elbv2.describe_load_balancers(Names=[f"{self.name}-load-balancer"])
        return found["LoadBalancers"][0]["LoadBalancerArn"]

    def set_balancer(self, key: str, value: str) -> None:
        self.elbv2.modify_load_balancer_attributes(
            LoadBalancerArn=self.balancer(), Attributes=[{"Key": key, "Value": value}]
        )

    def listener(self, port: int) -> str:
        found = self.elbv2.describe_listeners(LoadBalancerArn=self.balancer())["Listeners"]
        return next(it["ListenerArn"] for it in found if it["Port"] == port)

    def rule(self, port: int, priority: int) -> str:
        found = self.elbv2.describe_rules(ListenerArn=self.listener(port))["Rules"]
        return next(it["RuleArn"] for it in found if it["Priority"] == str(priority))

    def targets(self, service: str) -> str:
        found = self.elbv2.describe_target_groups(Names=[f"{self.name}-{service}"])
        return found["TargetGroups"][0]["TargetGroupArn"]

    def change_distribution(self, change: Callable[[dict[str, Any]], None]) -> None:
        (listed,) = self.cloudfront.list_distributions()["DistributionList"]["Items"]
        found = self.cloudfront.get_distribution_config(Id=listed["Id"])
        config = found["DistributionConfig"]
        change(config)
        self.cloudfront.update_distribution(
            DistributionConfig=config, Id=listed["Id"], IfMatch=found["ETag"]
        )

    def lead_cloudfront_to(self, endpoint: dict[str, Any]) -> None:
        """Give the distribution another VPC origin, for that endpoint."""
        made = self.cloudfront.create_vpc_origin(VpcOriginEndpointConfig=endpoint)["VpcOrigin"]

        def change(config: dict[str, Any]) -> None:
            config["Origins"]["Items"][0]["VpcOriginConfig"]["VpcOriginId"] = made["Id"]

        self.change_distribution(change)

    def change_firewall(self, change: Callable[[list[dict[str, Any]]], None]) -> None:
        scope = {"Scope": "CLOUDFRONT"}
        (listed,) = self.wafv2.list_web_acls(**scope)["WebACLs"]
        found = self.wafv2.get_web_acl(Name=listed["Name"], Id=listed["Id"], **scope)
        acl = found["WebACL"]
        change(acl["Rules"])
        self.wafv2.update_web_acl(
            Name=acl["Name"],
            Id=acl["Id"],
            DefaultAction=acl["DefaultAction"],
            Rules=acl["Rules"],
            VisibilityConfig=acl["VisibilityConfig"],
            LockToken=found.get("LockToken") or listed["LockToken"],
            **scope,
        )
