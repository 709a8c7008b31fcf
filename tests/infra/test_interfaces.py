"""The emulated interfaces of what AWS runs: each is where its owner is, and ends with it."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.deployment import Emulator


@pytest.fixture(scope="module")
def network(emulator: Emulator) -> dict[str, Any]:
    """A VPC with two subnets and a group."""
    ec2 = emulator.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone)
        for number, zone in enumerate(("us-east-1a", "us-east-1b"))
    ]
    group = ec2.create_security_group(GroupName="a", Description="a", VpcId=vpc)["GroupId"]
    return {"vpc": vpc, "group": group, "subnets": [it["Subnet"]["SubnetId"] for it in subnets]}


def cards(emulator: Emulator, network: dict[str, Any]) -> list[tuple[str, str]]:
    """The subnet and the description of each interface, which has the group and one address."""
    ec2 = emulator.client("ec2")
    filters = [{"Name": "vpc-id", "Values": [network["vpc"]]}]
    found = ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"]
    for it in found:
        assert [group["GroupId"] for group in it["Groups"]] == [network["group"]]
        number = network["subnets"].index(it["SubnetId"])
        assert it["PrivateIpAddress"].startswith(f"10.0.{number}.")
        assert it["RequesterManaged"]
    assert len({it["PrivateIpAddress"] for it in found}) == len(found)
    return sorted((it["SubnetId"], it["Description"]) for it in found)


def refusal(call: Any, **given: str) -> str:
    with pytest.raises(ClientError) as refused:
        call(**given)
    return str(refused.value.response["Error"]["Code"])


def test_a_load_balancers(emulator: Emulator, network: dict[str, Any]) -> None:
    elbv2 = emulator.client("elbv2")
    placed = {"Subnets": network["subnets"], "SecurityGroups": [network["group"]]}
    [made] = elbv2.create_load_balancer(Name="b", **placed)["LoadBalancers"]
    described = f"ELB {made['LoadBalancerArn'].partition(':loadbalancer/')[2]}"
    assert cards(emulator, network) == sorted((it, described) for it in network["subnets"])
    ec2 = emulator.client("ec2")
    assert refusal(ec2.delete_security_group, GroupId=network["group"]) == "DependencyViolation"
    assert refusal(ec2.delete_subnet, SubnetId=network["subnets"][0]) == "DependencyViolation"
    elbv2.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])
    assert cards(emulator, network) == []


def test_a_databases(emulator: Emulator, network: dict[str, Any]) -> None:
    rds = emulator.client("rds")
    rds.create_db_subnet_group(
        DBSubnetGroupName="d", DBSubnetGroupDescription="d", SubnetIds=network["subnets"]
    )
    rds.create_db_instance(
        DBInstanceIdentifier="d",
        DBInstanceClass="db.t4g.micro",
        Engine="postgres",
        AllocatedStorage=20,
        MasterUsername="owner",
        MasterUserPassword="long enough",
        DBSubnetGroupName="d",
        VpcSecurityGroupIds=[network["group"]],
    )
    assert len(cards(emulator, network)) == 1
    rds.modify_db_instance(DBInstanceIdentifier="d", MultiAZ=True, ApplyImmediately=True)
    assert cards(emulator, network) == [
        (it, "RDSNetworkInterface") for it in sorted(network["subnets"])
    ]
    subnets = emulator.client("ec2").describe_subnets(SubnetIds=network["subnets"])["Subnets"]
    [database] = rds.describe_db_instances()["DBInstances"]
    zones = {database["AvailabilityZone"], database["SecondaryAvailabilityZone"]}
    assert zones == {it["AvailabilityZone"] for it in subnets}
    rds.delete_db_instance(DBInstanceIdentifier="d", SkipFinalSnapshot=True)
    assert cards(emulator, network) == []


def test_an_endpoints(emulator: Emulator, network: dict[str, Any]) -> None:
    ec2 = emulator.client("ec2")
    made = ec2.create_vpc_endpoint(
        VpcId=network["vpc"],
        ServiceName="com.amazonaws.us-east-1.logs",
        VpcEndpointType="Interface",
        SubnetIds=network["subnets"],
        SecurityGroupIds=[network["group"]],
    )["VpcEndpoint"]
    name = made["VpcEndpointId"]
    described = f"VPC Endpoint Interface {name}"
    assert cards(emulator, network) == sorted((it, described) for it in network["subnets"])
    shown = ec2.describe_network_interfaces(NetworkInterfaceIds=made["NetworkInterfaceIds"])
    assert {it["SubnetId"] for it in shown["NetworkInterfaces"]} == set(network["subnets"])
    ec2.modify_vpc_endpoint(VpcEndpointId=name, RemoveSubnetIds=network["subnets"][:1])
    assert cards(emulator, network) == [(network["subnets"][1], described)]
    ec2.delete_vpc_endpoints(VpcEndpointIds=[name])
    assert cards(emulator, network) == []


def test_a_tasks(emulator: Emulator, network: dict[str, Any]) -> None:
    """The load balancer's targets have the interfaces' addresses."""
    ecs, elbv2 = emulator.client("ecs"), emulator.client("elbv2")
    ecs.create_cluster(clusterName="c")
    ecs.register_task_definition(
        family="t",
        networkMode="awsvpc",
        containerDefinitions=[{"name": "t", "image": "t", "memory": 512}],
    )
    [group] = elbv2.create_target_group(
        Name="t", Protocol="HTTP", Port=80, TargetType="ip", VpcId=network["vpc"]
    )["TargetGroups"]
    ecs.create_service(
        cluster="c",
        serviceName="t",
        taskDefinition="t",
        desiredCount=3,
        launchType="FARGATE",
        networkConfiguration={
            "awsvpcConfiguration": {
                "subnets": network["subnets"],
                "securityGroups": [network["group"]],
            }
        },
        loadBalancers=[
            {"targetGroupArn": group["TargetGroupArn"], "containerName": "t", "containerPort": 80}
        ],
    )
    one, other = network["subnets"]
    assert [subnet for subnet, _ in cards(emulator, network)] == sorted([one, other, one])
    health = elbv2.describe_target_health(TargetGroupArn=group["TargetGroupArn"])
    ec2 = emulator.client("ec2")
    shown = ec2.describe_network_interfaces()["NetworkInterfaces"]
    targets = {it["Target"]["Id"] for it in health["TargetHealthDescriptions"]}
    assert targets == {it["PrivateIpAddress"] for it in shown}
    ecs.update_service(cluster="c", service="t", desiredCount=0)
    assert cards(emulator, network) == []


def test_a_groups_machines(emulator: Emulator, network: dict[str, Any]) -> None:
    """A machine has the groups of its template's interface; there is one in each zone."""
    ec2, autoscaling = emulator.client("ec2"), emulator.client("autoscaling")
    ec2.create_launch_template(
        LaunchTemplateName="machines",
        LaunchTemplateData={
            "ImageId": "ami-12c6146b",
            "InstanceType": "t3.micro",
            "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": [network["group"]]}],
        },
    )
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="m",
        LaunchTemplate={"LaunchTemplateName": "machines"},
        MinSize=2,
        MaxSize=2,
        VPCZoneIdentifier=",".join(network["subnets"]),
    )
    [*reservations] = ec2.describe_instances()["Reservations"]
    machines = [it for reservation in reservations for it in reservation["Instances"]]
    assert sorted(it["SubnetId"] for it in machines) == sorted(network["subnets"])
    for it in machines:
        assert [group["GroupId"] for group in it["SecurityGroups"]] == [network["group"]]
