"""What stands is read from AWS's API, and from nothing else."""

import json

from rehearsal.found import TCP, unnamed
from tally.aws.inventory import AGENT


def calls(deployment):
    lines = map(json.loads, deployment.emulator.calls.read_text().splitlines())
    return [it["action"] for it in lines if AGENT in it["agent"]]


def test_reading_changes_nothing(account, production):
    before = len(calls(production))
    found = account()
    assert found.hosts
    assert found.origins
    assert found.ports(TCP)
    assert found.flow_log
    made = set(calls(production)[before:])
    assert made >= {"DescribeNetworkInterfaces", "DescribeSecurityGroups", "DescribeNetworkAcls"}
    assert [it for it in made if not it.startswith(("Describe", "Get", "List"))] == []


def test_whatever_stands_is_found(account):
    """An interface that nobody declared, with a group of a name and a port of its own."""
    before = account()
    interfaces, outsiders = set(before.interfaces), set(before.outsiders)
    ec2 = before.aws.ec2.client
    group = ec2.create_security_group(
        GroupName="stranger", Description="a", VpcId=before.aws.ec2.vpc["VpcId"]
    )["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {
                "IpProtocol": TCP,
                "FromPort": 7000,
                "ToPort": 7009,
                "IpRanges": [{"CidrIp": "198.18.0.0/15"}],
            }
        ],
    )
    subnet = before.interfaces[0].subnet
    made = ec2.create_network_interface(SubnetId=subnet, Groups=[group])["NetworkInterface"]
    now = account()
    [stranger] = set(now.interfaces) - interfaces
    assert stranger.name == "stranger"
    assert stranger.address == made["PrivateIpAddress"]
    assert range(7000, 7010) in now.ports(TCP)
    [outside] = set(now.outsiders) - outsiders
    assert outside.address == "198.18.0.1"


def test_the_internet_is_where_no_rule_points():
    assert unnamed([]) == "192.0.2.1"
    assert unnamed(["192.0.2.0/24", "10.0.0.0/8"]) == "192.0.3.0"
    assert unnamed(["192.0.3.0/25", "192.0.2.0/24", "192.0.0.0/14"]) == "192.4.0.0"
