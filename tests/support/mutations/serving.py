"""What breaks what serves."""

from tests.support.mutations.cloud import Cloud
from tests.support.mutations.declaration import breaks

breaks(
    "serving-machines",
    tell_the_group_of_a_version_that_no_machine_has=lambda cloud: cloud.change_group(
        LaunchTemplate={
            "LaunchTemplateName": f"{cloud.name}-adder",
            "Version": cloud.new_template(lambda data: None),
        },
    ),
)


@breaks("serving-machines")
def have_a_machine_unwell(cloud: Cloud) -> None:
    machine = cloud.group_of_machines()["Instances"][0]
    cloud.autoscaling.set_instance_health(
        InstanceId=machine["InstanceId"], HealthStatus="Unhealthy"
    )


@breaks("serving-tasks")
def leave_a_deployment_unfinished(cloud: Cloud) -> None:
    # Neither may a task start beside the others, nor one of those end before.
    cloud.change_task(lambda containers: None, deployment={"maximumPercent": 100})


@breaks("serving-targets")
def take_a_service_from_the_load_balancer(cloud: Cloud) -> None:
    group = cloud.targets("reset")
    health = cloud.elbv2.describe_target_health(TargetGroupArn=group)
    cloud.elbv2.deregister_targets(
        TargetGroupArn=group, Targets=[it["Target"] for it in health["TargetHealthDescriptions"]]
    )


breaks(
    "serving-tasks",
    "serving-targets",
    "containers-two",
    run_a_single_task=lambda cloud: cloud.ecs.update_service(
        **cloud.service("reset"), desiredCount=1
    ),
)


@breaks("serving-targets")
def keep_a_target_that_does_not_serve(cloud: Cloud) -> None:
    # Beside as many as there have to be.
    cloud.autoscaling.set_desired_capacity(
        AutoScalingGroupName=f"{cloud.name}-adder", DesiredCapacity=3
    )
    machine = cloud.group_of_machines()["Instances"][0]
    cloud.ec2.stop_instances(InstanceIds=[machine["InstanceId"]])


@breaks("serving-release")
def run_another_release_of_one_service(cloud: Cloud) -> None:
    tags = [{"key": it["Key"], "value": it["Value"]} for it in cloud.tags]
    cloud.change_task(lambda containers: None, tags=[*tags, {"key": "Release", "value": "2" * 40}])
