"""What breaks the containers."""

import json
from typing import Any

from tests.support.mutations.cloud import Cloud
from tests.support.mutations.declaration import breaks

breaks(
    "containers-run",
    keep_tasks_in_one_zone=lambda cloud: cloud.place(
        "display", subnets=cloud.subnets("private")[:1]
    ),
)

breaks(
    "containers-two",
    allow_a_single_task=lambda cloud: cloud.client(
        "application-autoscaling"
    ).register_scalable_target(
        ServiceNamespace="ecs",
        ResourceId=f"service/{cloud.name}-containers/{cloud.name}-display",
        ScalableDimension="ecs:service:DesiredCount",
        MinCapacity=1,
    ),
)

breaks(
    "containers-private",
    give_tasks_public_addresses=lambda cloud: cloud.place("reset", assignPublicIp="ENABLED"),
)


@breaks("containers-digest")
def run_whatever_is_latest(cloud: Cloud) -> None:
    def change(containers: dict[str, dict[str, Any]]) -> None:
        image = containers["display"]["image"]
        containers["display"]["image"] = f"{image.partition('@')[0]}:latest"

    cloud.change_task(change)


breaks(
    "containers-not-root",
    run_as_root=lambda cloud: cloud.change_task(
        lambda containers: containers["display"].update(user="0:0")
    ),
)

breaks(
    "containers-read-only",
    let_the_schema_step_write=lambda cloud: cloud.define(
        lambda it: it["schema"].update(readonlyRootFilesystem=False)
    ),
)

breaks(
    "containers-unprivileged",
    run_with_privileges=lambda cloud: cloud.change_task(
        lambda containers: containers["display"].update(privileged=True)
    ),
)


@breaks("containers-capabilities")
def add_a_capability(cloud: Cloud) -> None:
    def change(containers: dict[str, dict[str, Any]]) -> None:
        containers["display"]["linuxParameters"]["capabilities"]["add"] = ["SYS_PTRACE"]

    cloud.change_task(change)


@breaks("containers-processes")
def share_the_hosts_processes(cloud: Cloud) -> None:
    # Fargate itself refuses this; on machines of one's own it would do harm.
    cloud.change_task(lambda containers: None, pidMode="host", requiresCompatibilities=["EC2"])


@breaks("containers-secrets")
def put_a_secret_into_the_environment(cloud: Cloud) -> None:
    secret = {"name": "TALLY_RESET_TOKEN", "value": "correct-horse"}
    cloud.change_task(lambda containers: containers["display"]["environment"].append(secret))


@breaks("containers-own-secret")
def serve_as_the_owner(cloud: Cloud) -> None:
    owner = cloud.secret("schema", "PGPASSWORD")
    cloud.change_task(lambda it: it["display"].update(secrets=[owner]))


@breaks("containers-own-secret")
def let_the_display_start_with_the_owners_password(cloud: Cloud) -> None:
    owner = cloud.secret("schema", "PGPASSWORD")["valueFrom"].removesuffix(":password::")
    statement = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": owner}
    cloud.iam.put_role_policy(
        RoleName=f"{cloud.name}-display-start",
        PolicyName="more",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


breaks(
    "containers-reset-token",
    let_everybody_reset=lambda cloud: cloud.change_task(
        lambda it: it["reset"]["secrets"].remove(cloud.secret("reset", "TALLY_RESET_TOKEN")),
        service="reset",
    ),
    give_the_schema_step_the_token=lambda cloud: cloud.define(
        lambda it: it["schema"]["secrets"].append(cloud.secret("reset", "TALLY_RESET_TOKEN"))
    ),
)


@breaks("containers-tls")
def trust_any_database_from_containers(cloud: Cloud) -> None:
    def change(containers: dict[str, dict[str, Any]]) -> None:
        for setting in containers["display"]["environment"]:
            setting["value"] = setting["value"].replace("verify-full", "require")

    cloud.change_task(change)


breaks(
    "containers-schema",
    look_at_the_schema_alone=lambda cloud: cloud.define(
        lambda it: it["schema"].update(command=["audit"])
    ),
    migrate_where_a_service_should_run=lambda cloud: cloud.change_task(
        lambda it: it["display"].update(command=["migrate"])
    ),
    have_no_schema_step=lambda cloud: cloud.ecs.deregister_task_definition(
        taskDefinition=cloud.definition("schema")["taskDefinition"]["taskDefinitionArn"]
    ),
)

breaks(
    "containers-health",
    ask_no_container_for_its_health=lambda cloud: cloud.change_task(
        lambda containers: containers["display"].pop("healthCheck")
    ),
)

breaks(
    "containers-rollback",
    keep_failed_deployments=lambda cloud: cloud.ecs.update_service(
        **cloud.service("display"),
        deploymentConfiguration={
            "deploymentCircuitBreaker": {"enable": True, "rollback": False},
            "minimumHealthyPercent": 100,
            "maximumPercent": 200,
        },
    ),
)

breaks(
    "containers-drain",
    cut_requests_off=lambda cloud: cloud.elbv2.modify_target_group_attributes(
        TargetGroupArn=cloud.targets("display"),
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}],
    ),
)

breaks(
    "containers-logs",
    log_elsewhere=lambda cloud: cloud.change_task(
        lambda it: it["display"]["logConfiguration"]["options"].update({"awslogs-group": "/other"})
    ),
    wait_until_logs_are_taken=lambda cloud: cloud.change_task(
        lambda it: it["display"]["logConfiguration"]["options"].update({"mode": "blocking"})
    ),
)

breaks(
    "containers-insights",
    switch_insights_off=lambda cloud: cloud.ecs.update_cluster(
        cluster=f"{cloud.name}-containers",
        settings=[{"name": "containerInsights", "value": "disabled"}],
    ),
)

breaks(
    "containers-scaling",
    stop_scaling=lambda cloud: cloud.client("application-autoscaling").delete_scaling_policy(
        PolicyName=f"{cloud.name}-display-requests",
        ServiceNamespace="ecs",
        ResourceId=f"service/{cloud.name}-containers/{cloud.name}-display",
        ScalableDimension="ecs:service:DesiredCount",
    ),
)
