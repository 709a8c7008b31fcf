"""What breaks the adder's machines."""

from tests.support.mutations.cloud import Cloud
from tests.support.mutations.declaration import breaks

breaks(
    "machines-zones",
    keep_machines_in_one_zone=lambda cloud: cloud.change_group(
        VPCZoneIdentifier=cloud.subnets("private")[0]
    ),
)

breaks(
    "machines-two",
    have_a_single_machine=lambda cloud: cloud.change_group(MinSize=1),
)

breaks(
    "machines-health",
    trust_machines_that_are_unwell=lambda cloud: cloud.change_group(HealthCheckType="EC2"),
)

breaks(
    "machines-metadata",
    answer_old_metadata_requests=lambda cloud: cloud.change_template(
        lambda data: data["MetadataOptions"].update(HttpTokens="optional")
    ),
    answer_old_metadata_requests_on_the_bastion=lambda cloud: (
        cloud.ec2.modify_instance_metadata_options(
            InstanceId=cloud.bastion()["InstanceId"], HttpTokens="optional"
        )
    ),
)

breaks(
    "machines-disks",
    leave_disks_plain=lambda cloud: cloud.change_template(
        lambda data: data["BlockDeviceMappings"][0]["Ebs"].update(Encrypted=False)
    ),
)

breaks(
    "machines-private",
    give_machines_public_addresses=lambda cloud: cloud.change_template(
        lambda data: data["NetworkInterfaces"][0].update(AssociatePublicIpAddress=True)
    ),
)


@breaks("machines-user-data")
def put_a_password_into_user_data(cloud: Cloud) -> None:
    cloud.change_user_data(lambda text: f"{text}\n# PGPASSWORD=correcthorse\n")


breaks(
    "machines-user-data",
    let_the_adder_write_to_the_system=lambda cloud: cloud.change_user_data(
        lambda text: text.replace("ProtectSystem=strict", "ProtectSystem=full")
    ),
    run_the_adder_as_root=lambda cloud: cloud.change_user_data(
        lambda text: text.replace("      User=tally-adder\n", "")
    ),
)


@breaks("machines-user-data")
def let_the_adder_ask_for_the_machines_role(cloud: Cloud) -> None:
    cloud.change_user_data(lambda text: text.replace("IPAddressDeny=", "# IPAddressDeny="))


breaks(
    "machines-user-data",
    give_the_adder_a_capability=lambda cloud: cloud.change_user_data(
        lambda text: text.replace("CapabilityBoundingSet=", "CapabilityBoundingSet=CAP_SYS_ADMIN")
    ),
    only_deny_the_adder_some_calls=lambda cloud: cloud.change_user_data(
        lambda text: text.replace("SystemCallFilter=@system-service", "SystemCallFilter=~@mount")
    ),
    lose_the_adders_unit=lambda cloud: cloud.change_user_data(
        lambda text: text.replace("/tally-adder.service\n", "/other.service\n")
    ),
)

breaks(
    "machines-tls",
    trust_any_database=lambda cloud: cloud.change_user_data(
        lambda text: text.replace("sslmode=verify-full", "sslmode=require")
    ),
)

breaks(
    "machines-role",
    let_machines_read_other_secrets=lambda cloud: cloud.allow(
        "adder",
        "secretsmanager:GetSecretValue",
        f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{cloud.name}/reset-AbCdEf",
    ),
    let_machines_read_the_state=lambda cloud: cloud.allow(
        "adder", "s3:GetObject", f"arn:aws:s3:::{cloud.name}-state-123456789012/*"
    ),
)

breaks(
    "machines-refresh",
    release_without_rollback=lambda cloud: cloud.refresh(AutoRollback=False),
    release_with_fewer_machines=lambda cloud: cloud.refresh(MinHealthyPercentage=50),
)


@breaks("machines-refresh")
def release_with_nothing_to_go_back_from(cloud: Cloud) -> None:
    # Not rolled back by itself either: AWS refuses that without a desired configuration.
    cloud.autoscaling.start_instance_refresh(
        AutoScalingGroupName=f"{cloud.name}-adder",
        Preferences={
            "MinHealthyPercentage": 100,
            "AlarmSpecification": {"Alarms": [f"{cloud.name}-adder-errors"]},
        },
    )


@breaks("machines-refresh")
def release_with_errors(cloud: Cloud) -> None:
    alarm = f"{cloud.name}-adder-errors"
    cloud.cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="errors")
    cloud.refresh()
