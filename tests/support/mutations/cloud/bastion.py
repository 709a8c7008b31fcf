"""The bastion and its sessions."""

import base64
import json
from collections.abc import Callable
from typing import Any

from tally.aws.inventory.resources import groups_of
from tests.support.mutations.cloud.account import Account


class Bastion(Account):
    def bastion(self) -> dict[str, Any]:
        filters = [
            {"Name": "tag:Name", "Values": [f"{self.name}-bastion"]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        (reservation,) = self.ec2.describe_instances(Filters=filters)["Reservations"]
        return reservation["Instances"][0]

    def start_the_bastion_with(self, old: str, new: str) -> None:
        """End the bastion and start one with something else in its user data."""

        def change(machine: dict[str, Any]) -> None:
            assert old in machine["UserData"]
            machine["UserData"] = machine["UserData"].replace(old, new)

        self.replace_bastion(change)

    def replace_bastion(self, change: Callable[[dict[str, Any]], None]) -> None:
        """End the bastion and start one that differs, to which the same route leads."""
        old = self.bastion()
        attribute = self.ec2.describe_instance_attribute(
            InstanceId=old["InstanceId"], Attribute="userData"
        )
        arguments: dict[str, Any] = {
            "ImageId": old["ImageId"],
            "InstanceType": old["InstanceType"],
            "KeyName": old["KeyName"],
            "IamInstanceProfile": {"Arn": old["IamInstanceProfile"]["Arn"]},
            "UserData": base64.b64decode(attribute["UserData"]["Value"]).decode(),
            "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
            "NetworkInterfaces": [
                {
                    "DeviceIndex": 0,
                    "SubnetId": old["SubnetId"],
                    "Groups": groups_of(old),
                    "AssociatePublicIpAddress": True,
                }
            ],
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "VolumeSize": 8}}
            ],
            "TagSpecifications": [
                {"ResourceType": kind, "Tags": old["Tags"]} for kind in ("instance", "volume")
            ],
        }
        change(arguments)
        self.ec2.terminate_instances(InstanceIds=[old["InstanceId"]])
        arguments = {key: value for key, value in arguments.items() if value is not None}
        [new] = self.ec2.run_instances(MinCount=1, MaxCount=1, **arguments)["Instances"]
        if not old["SourceDestCheck"]:
            self.check_sources(False)
            self.ec2.replace_route(
                RouteTableId=self.id_of("route_tables", "RouteTables", "RouteTableId", "private"),
                DestinationCidrBlock="0.0.0.0/0",
                NetworkInterfaceId=new["NetworkInterfaces"][0]["NetworkInterfaceId"],
            )

    def check_sources(self, checked: bool) -> None:
        """Let AWS drop what the bastion would forward, or not."""
        self.ec2.modify_instance_attribute(
            InstanceId=self.bastion()["InstanceId"], SourceDestCheck={"Value": checked}
        )

    def change_session(self, **inputs: object) -> None:
        """Tell Session Manager something else of a session."""
        name = f"{self.name}-session"
        content = json.loads(self.ssm.get_document(Name=name)["Content"])
        content["inputs"] |= inputs
        made = self.ssm.update_document(
            Name=name, Content=json.dumps(content), DocumentVersion="$LATEST"
        )
        self.ssm.update_document_default_version(
            Name=name, DocumentVersion=made["DocumentDescription"]["DocumentVersion"]
        )
