"""The network: what EC2 finds by its names, and its security groups."""

from tests.support.mutations.cloud.account import Account


class Network(Account):
    def id_of(self, kind: str, key: str, identifier: str, name: str) -> str:
        """The id of one of EC2's resources, by its Name tag."""
        filters = [{"Name": "tag:Name", "Values": [f"{self.name}-{name}"]}]
        (found,) = getattr(self.ec2, f"describe_{kind}")(Filters=filters)[key]
        return found[identifier]

    def vpc(self) -> str:
        return self.id_of("vpcs", "Vpcs", "VpcId", "network")

    def group(self, role: str) -> str:
        filters = [{"Name": "group-name", "Values": [f"{self.name}-{role}"]}]
        (found,) = self.ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
        return found["GroupId"]

    def subnets(self, tier: str) -> list[str]:
        filters = [{"Name": "tag:Tier", "Values": [tier]}]
        found = self.ec2.describe_subnets(Filters=filters)["Subnets"]
        return [it["SubnetId"] for it in sorted(found, key=lambda it: it["AvailabilityZone"])]

    def let_in(self, role: str, peer: dict[str, str], port: int, last: int | None = None) -> None:
        """Add a rule to a role's security group."""
        kind = {"CidrIp": "IpRanges", "CidrIpv6": "Ipv6Ranges", "GroupId": "UserIdGroupPairs"}
        (key,) = peer
        permission = {"IpProtocol": "tcp", "FromPort": port, "ToPort": last or port}
        self.ec2.authorize_security_group_ingress(
            GroupId=self.group(role), IpPermissions=[{**permission, kind[key]: [peer]}]
        )
