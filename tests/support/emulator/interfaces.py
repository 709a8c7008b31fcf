"""The network interfaces of what AWS runs for a customer, of which moto has none.

A load balancer, a database, a task and an interface endpoint have an interface of their own in each
of their subnets, with their groups. AWS makes and deletes them (EC2's user guide,
"Requester-managed network interfaces"). Here they are made to follow whenever EC2 is asked, so
nothing can leave one behind.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface, NetworkInterfaceBackend
from moto.ec2.models.security_groups import SecurityGroupBackend
from moto.ec2.models.subnets import SubnetBackend
from moto.ec2.models.vpcs import VPCBackend, VPCEndPoint
from moto.ecs.models import Service, ecs_backends
from moto.elbv2.models import elbv2_backends
from moto.rds.models import rds_backends

_following: Final = threading.RLock()


@dataclass(frozen=True)
class Wanted:
    """One interface that something has: the number tells those of one owner apart."""

    owner: str
    number: int
    subnet: str
    groups: tuple[str, ...]
    description: str
    requester: str
    kind: str = "interface"

    @property
    def key(self) -> tuple[str, int, str]:
        return self.owner, self.number, self.subnet


def wanted(ec2: EC2Backend) -> Iterator[Wanted]:
    """Say which interfaces there have to be."""
    account, region = ec2.account_id, ec2.region_name
    for balancer in elbv2_backends[account][region].load_balancers.values():
        described = f"ELB {balancer.arn.partition(':loadbalancer/')[2]}"
        groups = tuple(balancer.security_groups)
        for subnet in balancer.subnets:
            yield Wanted(balancer.arn, 0, subnet.id, groups, described, "amazon-elb")
    for database in rds_backends[account][region].databases.values():
        if database._db_subnet_group_name is None:
            continue  # in the default network, which is not the deployment's
        # The standby has its own, in another zone (RDS's user guide, "Multi-AZ DB instance").
        for subnet in database.db_subnet_group._subnets[: 2 if database.multi_az else 1]:
            closed = ec2.get_default_security_group(subnet.vpc_id).id
            groups = tuple(database.vpc_security_group_ids) or (closed,)
            arn = database.db_instance_arn
            yield Wanted(arn, 0, subnet.id, groups, "RDSNetworkInterface", "amazon-rds")
    for service in ecs_backends[account][region].services.values():
        if service.status == "ACTIVE" and service.network_configuration:
            yield from of_tasks(service)
    for endpoint in ec2.vpc_end_points.values():
        if endpoint.vpc_endpoint_type == "Interface" and endpoint.state != "deleted":
            for subnet in endpoint.subnet_ids:
                groups = tuple(endpoint.security_group_ids)
                described = f"VPC Endpoint Interface {endpoint.id}"
                yield Wanted(
                    endpoint.id, 0, subnet, groups, described, "amazon-vpce", "vpc_endpoint"
                )


def of_tasks(service: Service) -> Iterator[Wanted]:
    """The interfaces of a service's tasks, which it spreads over its subnets."""
    placed = service.network_configuration["awsvpcConfiguration"]
    subnets, groups = placed["subnets"], tuple(placed["securityGroups"])
    arn = service.physical_resource_id
    attachments = arn.partition(":service/")[0] + ":attachment/"
    for number in range(service.running_count):
        described = f"{attachments}{uuid5(NAMESPACE_URL, f'{arn}/{number}')}"
        subnet = subnets[number % len(subnets)]
        yield Wanted(arn, number, subnet, groups, described, "amazon-ecs")


def follow(ec2: EC2Backend) -> None:
    """Make the interfaces that are wanted, and delete those that are no longer."""
    with _following:
        every = {it.key: it for it in wanted(ec2)}
        have = {it.key: it for it in ec2.enis.values() if hasattr(it, "key")}
        for key in have.keys() - every.keys():
            have[key].delete()
        for key, it in every.items():
            found = have.get(key) or make(ec2, it)
            found._group_set = [ec2.get_security_group_from_id(group) for group in it.groups]
        for endpoint in ec2.vpc_end_points.values():
            endpoint.network_interface_ids = [
                it.id for it in ec2.enis.values() if getattr(it, "key", (None,))[0] == endpoint.id
            ]


def make(ec2: EC2Backend, it: Wanted) -> NetworkInterface:
    subnet = ec2.get_subnet(it.subnet)
    address = subnet.get_available_subnet_ip(instance=None)
    made = ec2.create_network_interface(
        subnet, address, group_ids=list(it.groups), description=it.description
    )
    made.key, made.status, made.device_index = it.key, "in-use", None
    made.requester_managed, made.requester_id = True, it.requester
    made.interface_type = it.kind
    return made


def addresses_of(ec2: EC2Backend, service: Service) -> list[str]:
    """The addresses of a service's tasks, by their numbers."""
    follow(ec2)
    found = {it.key: it for it in ec2.enis.values() if hasattr(it, "key")}
    return [found[it.key].private_ip_address for it in of_tasks(service)]


def follow_when_asked() -> None:
    """Before EC2 shows interfaces or endpoints, and before it deletes what interfaces use."""
    show = NetworkInterfaceBackend.get_all_network_interfaces
    create_endpoint = VPCBackend.create_vpc_endpoint
    modify_endpoint = VPCBackend.modify_vpc_endpoint

    def get_all(self: Any, *args: Any, **given: Any) -> list[NetworkInterface]:
        follow(self)
        return show(self, *args, **given)

    def create(self: Any, *args: Any, **given: Any) -> VPCEndPoint:
        with _following:
            made = create_endpoint(self, *args, **given)
            # moto's have any address, and no groups.
            for it in made.network_interface_ids:
                del self.enis[it]
            follow(self)
        return made

    def modify(self: Any, *args: Any, **given: Any) -> None:
        modify_endpoint(self, *args, **given)
        follow(self)

    NetworkInterfaceBackend.get_all_network_interfaces = get_all
    VPCBackend.create_vpc_endpoint = create
    VPCBackend.modify_vpc_endpoint = modify


def refuse_to_delete_what_is_used() -> None:
    """moto deletes a group or subnet that an interface uses; EC2 answers DependencyViolation."""
    delete_group = SecurityGroupBackend._delete_security_group
    delete_subnet = SubnetBackend.delete_subnet

    def refuse(used_by: list[str], name: str) -> None:
        if used_by:
            raise DependencyViolationError(
                f"resource {name} has a dependent object: {', '.join(used_by)}"
            )

    def group(self: Any, vpc_id: str | None, group_id: str) -> None:
        cards = self.get_all_network_interfaces()
        refuse([it.id for it in cards if group_id in {one.id for one in it.group_set}], group_id)
        delete_group(self, vpc_id, group_id)

    def subnet(self: Any, subnet_id: str) -> Any:
        cards = self.get_all_network_interfaces()
        refuse([it.id for it in cards if it.subnet.id == subnet_id], subnet_id)
        return delete_subnet(self, subnet_id)

    SecurityGroupBackend._delete_security_group = group
    SubnetBackend.delete_subnet = subnet


def patch() -> None:
    follow_when_asked()
    refuse_to_delete_what_is_used()
