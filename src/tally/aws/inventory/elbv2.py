"""Elastic Load Balancing: the load balancer, its listeners and target groups."""

from functools import cache, cached_property
from typing import cast

import jmespath

from tally.aws.inventory.resources import Resource, the_one
from tally.aws.inventory.service import Service


class ELBv2(Service):
    api = "elbv2"

    @cached_property
    def load_balancers(self) -> list[Resource]:
        return self._in_vpc("describe_load_balancers", "LoadBalancers")

    @cached_property
    def load_balancer(self) -> Resource:
        return the_one(self.load_balancers, f"load balancer in {self.aws.ec2.vpc['VpcId']}")

    @cached_property
    def load_balancer_attributes(self) -> dict[str, str]:
        arn = self.load_balancer["LoadBalancerArn"]
        answer = self.client.describe_load_balancer_attributes(LoadBalancerArn=arn)
        return {it["Key"]: it["Value"] for it in answer["Attributes"]}

    @cached_property
    def listeners(self) -> list[Resource]:
        """The load balancer's listeners, by port."""
        arn = self.load_balancer["LoadBalancerArn"]
        found = self.all("describe_listeners", "Listeners", LoadBalancerArn=arn)
        return sorted(found, key=lambda listener: cast("int", listener["Port"]))

    @property
    def certificates(self) -> list[str]:
        """The ARNs of the listeners' certificates."""
        found = jmespath.search("[].Certificates[].CertificateArn", self.listeners)
        return cast("list[str]", found)

    @cache  # noqa: B019 - an account lives as long as the command
    def rules(self, listener: str) -> list[Resource]:
        """A listener's rules in the order of evaluation, without the default one."""
        found = self.all("describe_rules", "Rules[?!IsDefault]", ListenerArn=listener)
        return sorted(found, key=lambda rule: int(rule["Priority"]))

    @cached_property
    def target_groups(self) -> dict[str, Resource]:
        found = self._in_vpc("describe_target_groups", "TargetGroups")
        return {it["TargetGroupArn"]: it for it in found}

    def _in_vpc(self, operation: str, path: str) -> list[Resource]:
        return self.all(operation, f"{path}[?VpcId=='{self.aws.ec2.vpc['VpcId']}']")

    def target_group_attributes(self, arn: str) -> dict[str, str]:
        answer = self.client.describe_target_group_attributes(TargetGroupArn=arn)
        return {it["Key"]: it["Value"] for it in answer["Attributes"]}

    def targets(self, arn: str) -> list[Resource]:
        """Who is registered in a target group, each with its health."""
        answer = self.client.describe_target_health(TargetGroupArn=arn)
        return list(answer["TargetHealthDescriptions"])
