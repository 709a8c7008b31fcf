"""What breaks reachability."""

from tests.support.mutations.cloud import Cloud
from tests.support.mutations.declaration import breaks


@breaks("reachability-ports")
def let_the_display_call_the_adder(cloud: Cloud) -> None:
    cloud.let_in("adder", {"GroupId": cloud.group("display")}, 8080)
    cloud.ec2.authorize_security_group_egress(
        GroupId=cloud.group("display"),
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 8080,
                "ToPort": 8080,
                "UserIdGroupPairs": [{"GroupId": cloud.group("adder")}],
            }
        ],
    )


breaks(
    "reachability-paths",
    send_resets_to_the_display=lambda cloud: cloud.elbv2.modify_rule(
        RuleArn=cloud.rule(80, 40),
        Actions=[{"Type": "forward", "TargetGroupArn": cloud.targets("display")}],
    ),
)


@breaks("reachability-ports", profile="small")
def let_the_reset_out_on_another_port(cloud: Cloud) -> None:
    cloud.ec2.authorize_security_group_egress(
        GroupId=cloud.group("reset"),
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 80,
                "ToPort": 80,
                "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
            }
        ],
    )
