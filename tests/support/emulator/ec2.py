"""EC2: what moto forgets of launch templates, keeps after its owner, names otherwise, or allows."""

from collections.abc import Callable
from typing import Any, Final

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, RulesPerSecurityGroupLimitExceededError
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance, InstanceBackend, MetadataOptions
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.models.security_groups import (
    SecurityGroup,
    SecurityGroupBackend,
    SecurityGroupRule,
)
from moto.ec2.models.vpcs import VPCBackend
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.utils import convert_tag_spec, parse_user_data

from tally.aws.preflight.account import QUOTAS
from tests.support.emulator.first_use import FirstUse

# The rules that a security group may have each way, and what a rule counts for that names a list of
# AWS's own addresses (VPC's user guide, "Amazon VPC quotas" and "AWS-managed prefix list weight").
MOST_RULES: Final = 60
WEIGHTS: Final = {"com.amazonaws.global.cloudfront.origin-facing": 55}
# What `tally preflight` says that production needs of the account's machines.
PROCESSORS: Final = int(QUOTAS["processors of machines"][2]["production"])


def give_the_first_letter_to_the_oldest_zone() -> None:
    """moto letters zones alike in all accounts; here the first is the oldest, which lacks much."""
    zones = {zone.name: zone for zone in RegionsAndZonesBackend.zones["us-east-1"]}
    first, oldest = zones["us-east-1a"], zones["us-east-1e"]
    first.zone_id, oldest.zone_id = oldest.zone_id, first.zone_id


def give_machines_what_their_template_says() -> None:
    """moto ignores a launch template's metadata options, interface, disks and disks' tags."""
    make = Instance.__init__
    add_device = Instance.add_block_device

    def keep(self: Instance, ec2_backend: Any, *args: Any, **given: Any) -> None:
        template = given.get("launch_template")
        data = ec2_backend._get_template_from_args(template).data if template else {}
        if not given.get("nics") and (cards := data.get("NetworkInterfaces")):
            given["nics"] = [{"DeviceIndex": 0, **card} for card in cards]
        make(self, ec2_backend, *args, **given)
        # A machine's groups are those of its first interface.
        self.security_groups = self.security_groups or list(self.nics[0]._group_set)
        if template and not given.get("metadata_options"):
            self.metadata_options = MetadataOptions(data.get("MetadataOptions"))
            if data.get("BlockDeviceMappings"):
                # Without its own disk, which a machine with others would not get.
                self.setup_defaults = lambda: None
                self.tags_of_disks = convert_tag_spec(data.get("TagSpecifications", [])).get(
                    "volume"
                )

    def add_tagged(self: Instance, size: int, path: str, *args: Any, **given: Any) -> None:
        add_device(self, size, path, *args, **given)
        if tags := getattr(self, "tags_of_disks", None):
            self.ec2_backend.create_tags([self.block_device_mapping[path].volume_id], tags)

    Instance.__init__ = keep
    Instance.add_block_device = add_tagged


def keep_launch_templates_whole() -> None:
    """moto mixes a template's own tags with those of what is made from it.

    It also leaves each version's user data encoded.
    """
    create = LaunchTemplates.create_launch_template
    create_version = LaunchTemplate.create_version

    def create_launch_template(self: LaunchTemplates) -> ActionResult:
        result = create(self)
        made = result._result["LaunchTemplate"]["LaunchTemplateId"]
        data = self.ec2_backend.get_launch_template(made).default_version().data
        data["TagSpecifications"] = [
            it
            for it in data.get("TagSpecifications", [])
            if it["ResourceType"] != "launch-template"
        ]
        return result

    def read_user_data(self: LaunchTemplate, data: dict[str, Any], *args: Any) -> Any:
        if isinstance(given := data.get("UserData"), str):
            data = {**data, "UserData": parse_user_data(given)}
        return create_version(self, data, *args)

    LaunchTemplates.create_launch_template = create_launch_template
    LaunchTemplate.create_version = read_user_data


def end_what_ends_with_others() -> None:
    """moto keeps a terminated machine's network interfaces, and a deleted network's access list."""
    terminate = Instance.terminate
    delete_vpc = VPCBackend.delete_vpc

    def terminate_with_interfaces(self: Instance) -> Any:
        for interface in self.nics.values():
            interface.delete_on_termination = True
        return terminate(self)

    def delete_with_list(self: Any, vpc_id: str) -> Any:
        vpc = delete_vpc(self, vpc_id)
        for name, acl in list(self.network_acls.items()):
            if acl.vpc_id == vpc_id:
                del self.network_acls[name]
        return vpc

    Instance.terminate = terminate_with_interfaces
    VPCBackend.delete_vpc = delete_with_list


def count_lists_of_addresses_in_full() -> None:
    """moto counts a rule that names a list of addresses as one, whatever is in the list."""
    for way in ("ingress", "egress"):
        name = f"authorize_security_group_{way}"
        authorize = getattr(SecurityGroupBackend, name)
        setattr(SecurityGroupBackend, name, _counting(authorize, f"{way}_rules"))


Authorized = tuple[list[SecurityGroupRule], SecurityGroup]


def _counting(authorize: Callable[..., Authorized], rules: str) -> Callable[..., Authorized]:
    def count(self: Any, *args: Any, **given: Any) -> Authorized:
        added, group = authorize(self, *args, **given)
        names = {it.id: it.prefix_list_name for it in self.managed_prefix_lists.values()}
        every = getattr(group, rules)
        if sum(WEIGHTS.get(names.get(it.prefix_list_id), 1) for it in every) > MOST_RULES:
            for rule in added:
                every.remove(rule)
            raise RulesPerSecurityGroupLimitExceededError
        return added, group

    return count


def refuse_profiles_at_first() -> None:
    """moto uses a profile at once; EC2 not, for seconds (its user guide, "IAM roles for EC2")."""
    run = InstanceBackend.run_instances
    uses = FirstUse()

    def run_instances(self: InstanceBackend, *args: Any, **given: Any) -> Any:
        name = given.get("iam_instance_profile_name")
        if name and uses.of(name):
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Value ({name}) for parameter iamInstanceProfile.name is invalid."
                " Invalid IAM Instance Profile name",
            )
        return run(self, *args, **given)

    InstanceBackend.run_instances = run_instances


def keep_to_the_quota_of_processors() -> None:
    """moto has no quotas. Here an account may run what preflight says that a deployment needs."""
    run = InstanceBackend.run_instances

    def run_instances(
        self: InstanceBackend, image: str, count: int, *args: Any, **given: Any
    ) -> Any:
        kind = given["instance_type"]
        if given.get("is_instance_type_default") and given.get("launch_template"):
            kind = self._get_template_from_args(given["launch_template"]).data["InstanceType"]
        running = [it.instance_type for it in self.all_running_instances()]
        if sum(map(processors, [*running, *[kind] * count])) > PROCESSORS:
            raise EC2ClientError(
                "VcpuLimitExceeded",
                f"You have requested more vCPU capacity than your current limit of {PROCESSORS}",
            )
        return run(self, image, count, *args, **given)

    InstanceBackend.run_instances = run_instances


def processors(machine_type: str) -> int:
    """How many virtual processors a machine has."""
    return int(INSTANCE_TYPES[machine_type]["VCpuInfo"]["DefaultVCpus"])


def patch() -> None:
    refuse_profiles_at_first()
    keep_to_the_quota_of_processors()
    give_the_first_letter_to_the_oldest_zone()
    give_machines_what_their_template_says()
    keep_launch_templates_whole()
    end_what_ends_with_others()
    count_lists_of_addresses_in_full()
