"""A deployment in a copy of its emulator, to be changed."""

import base64
import copy
import gzip
import json
from collections.abc import Callable
from functools import cache
from typing import Any

from tally.aws.inventory.resources import groups_of

ANYONE = "0.0.0.0/0"


class Cloud:
    """A deployment to change, found by its names."""

    def __init__(self, name: str, client: Callable[[str], Any]) -> None:
        self.name = name
        self.client = cache(client)

    def __getattr__(self, service: str) -> Any:
        return self.client(service)

    @property
    def tags(self) -> list[dict[str, str]]:
        tags = {"Project": "tally", "Deployment": self.name, "Profile": "production"}
        return [{"Key": k, "Value": v} for k, v in {**tags, "ManagedBy": "a test"}.items()]

    def tagged(self, kind: str) -> list[dict[str, Any]]:
        return [{"ResourceType": kind, "Tags": self.tags}]

    def id_of(self, kind: str, key: str, identifier: str, name: str) -> str:
        """An EC2 thing's id, by its Name tag."""
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

    # Ingress

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

    # Machines

    def new_template(self, change: Callable[[dict[str, Any]], None]) -> str:
        """Make a version of the adder's launch template."""
        name = f"{self.name}-adder"
        found = self.ec2.describe_launch_template_versions(
            LaunchTemplateName=name, Versions=["$Latest"]
        )
        data = copy.deepcopy(found["LaunchTemplateVersions"][0]["LaunchTemplateData"])
        change(data)
        made = self.ec2.create_launch_template_version(
            LaunchTemplateName=name, LaunchTemplateData=data
        )
        return str(made["LaunchTemplateVersion"]["VersionNumber"])

    def change_template(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Replace the machines by others."""
        self.refresh(self.new_template(change))

    def change_group(self, **changes: object) -> None:
        self.autoscaling.update_auto_scaling_group(
            AutoScalingGroupName=f"{self.name}-adder", **changes
        )

    def group_of_machines(self) -> dict[str, Any]:
        return self.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]

    def refresh(self, version: str = "1", **preferences: object) -> None:
        """Replace the machines as a release does, except for some of its preferences."""
        template = self.group_of_machines()["LaunchTemplate"]["LaunchTemplateId"]
        desired = {"LaunchTemplateId": template, "Version": version}
        self.autoscaling.start_instance_refresh(
            AutoScalingGroupName=f"{self.name}-adder",
            DesiredConfiguration={"LaunchTemplate": desired},
            Preferences={
                "MinHealthyPercentage": 100,
                "AutoRollback": True,
                "AlarmSpecification": {"Alarms": [f"{self.name}-adder-errors"]},
                **preferences,
            },
        )

    def change_user_data(self, change: Callable[[str], str]) -> None:
        def edit(data: dict[str, Any]) -> None:
            given = base64.b64decode(data["UserData"])
            text = (gzip.decompress(given) if given[:2] == b"\x1f\x8b" else given).decode()
            assert change(text) != text
            data["UserData"] = base64.b64encode(change(text).encode()).decode()

        self.change_template(edit)

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
        """End the bastion and start one that differs."""
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
        self.ec2.run_instances(MinCount=1, MaxCount=1, **arguments)

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

    # Containers

    def service(self, service: str) -> dict[str, str]:
        return {"cluster": f"{self.name}-containers", "service": f"{self.name}-{service}"}

    def found(self, service: str) -> dict[str, Any]:
        return self.ecs.describe_services(
            cluster=self.service(service)["cluster"], services=[self.service(service)["service"]]
        )["services"][0]

    def placed(self, service: str) -> dict[str, Any]:
        found = self.found(service)
        return copy.deepcopy(found["networkConfiguration"]["awsvpcConfiguration"])

    def place(self, service: str, **changes: object) -> None:
        placed = {**self.placed(service), **changes}
        self.ecs.update_service(
            **self.service(service), networkConfiguration={"awsvpcConfiguration": placed}
        )

    def change_task(
        self,
        change: Callable[[dict[str, dict[str, Any]]], None],
        deployment: dict[str, Any] | None = None,
        **settings: object,
    ) -> None:
        """Run a display whose containers, given by name, differ."""
        family = f"{self.name}-display"
        answer = self.ecs.describe_task_definition(taskDefinition=family, include=["TAGS"])
        found = answer["taskDefinition"]
        containers = found["containerDefinitions"]
        change({it["name"]: it for it in containers})
        kept = ("executionRoleArn", "taskRoleArn", "networkMode", "cpu", "memory")
        made = self.ecs.register_task_definition(
            family=family,
            containerDefinitions=containers,
            **{
                "requiresCompatibilities": ["FARGATE"],
                **{key: found[key] for key in kept},
                "tags": answer["tags"],
                **settings,
            },
        )["taskDefinition"]
        self.ecs.update_service(
            **self.service("display"),
            taskDefinition=made["taskDefinitionArn"],
            deploymentConfiguration={
                **self.found("display")["deploymentConfiguration"],
                **(deployment or {}),
            },
        )

    # The rest

    def change_policy(self, policy: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
        """Make a version of a managed policy whose statements differ, and let it be in force."""
        account = self.sts.get_caller_identity()["Account"]
        arn = f"arn:aws:iam::{account}:policy/{self.name}-{policy}"
        version = self.iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = self.iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
        before = json.dumps(found["Document"])
        change(found["Document"]["Statement"])
        assert json.dumps(found["Document"]) != before
        self.iam.create_policy_version(
            PolicyArn=arn, PolicyDocument=json.dumps(found["Document"]), SetAsDefault=True
        )

    def warning(self, kind: str) -> tuple[dict[str, str], dict[str, Any], dict[str, str]]:
        """Of a kind of the budget's warnings: the budget, the warning and whom it tells."""
        account = self.sts.get_caller_identity()["Account"]
        named = {"AccountId": account, "BudgetName": f"{self.name}-monthly"}
        found = self.budgets.describe_notifications_for_budget(**named)["Notifications"]
        (notification,) = (it for it in found if it["NotificationType"] == kind)
        (subscriber,) = self.budgets.describe_subscribers_for_notification(
            **named, Notification=notification
        )["Subscribers"]
        return named, notification, subscriber

    def rotate(self, role: str) -> None:
        """Let a role's secret rotate. AWS would ask for a function that does it, and call that."""
        self.secretsmanager.rotate_secret(
            SecretId=f"{self.name}/{role}", RotationRules={"AutomaticallyAfterDays": 30}
        )

    def change_database(self, **changes: object) -> None:
        self.rds.modify_db_instance(
            DBInstanceIdentifier=f"{self.name}-database", ApplyImmediately=True, **changes
        )

    def replace_database(self, **changes: object) -> None:
        """Delete the database and make one that differs in what can't be changed.

        Its owner's secret is a new one, and the schema step still asks for the old.
        """
        name = f"{self.name}-database"
        (old,) = self.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
        self.change_database(DeletionProtection=False)
        self.rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
        same = (
            *("DBInstanceIdentifier", "DBInstanceClass", "Engine", "EngineVersion"),
            *("MasterUsername", "AllocatedStorage", "MultiAZ", "PubliclyAccessible"),
            *("StorageEncrypted", "BackupRetentionPeriod", "PreferredBackupWindow"),
            *("AutoMinorVersionUpgrade", "CopyTagsToSnapshot", "DeletionProtection"),
            *("CACertificateIdentifier",),
        )
        given: dict[str, Any] = {
            **{key: old[key] for key in same},
            "DBSubnetGroupName": old["DBSubnetGroup"]["DBSubnetGroupName"],
            "DBParameterGroupName": old["DBParameterGroups"][0]["DBParameterGroupName"],
            "VpcSecurityGroupIds": [it["VpcSecurityGroupId"] for it in old["VpcSecurityGroups"]],
            "EnableCloudwatchLogsExports": old["EnabledCloudwatchLogsExports"],
            "EnableIAMDatabaseAuthentication": True,
            "ManageMasterUserPassword": True,
            "Tags": old["TagList"],
        }
        self.rds.create_db_instance(**{**given, **changes})

    def bucket(self, what: str) -> str:
        account = self.sts.get_caller_identity()["Account"]
        return f"{self.name}-{what}-{account}"

    def allow(self, role: str, action: str, resource: str) -> None:
        """Add a policy to a role."""
        statement = {"Effect": "Allow", "Action": action, "Resource": resource}
        self.iam.put_role_policy(
            RoleName=f"{self.name}-{role}",
            PolicyName="more",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
