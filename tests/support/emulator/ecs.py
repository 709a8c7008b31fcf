"""ECS: the settings and the tasks of services."""

import time
from typing import Any
from uuid import uuid4

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ecs.models import EC2ContainerServiceBackend as ECSBackend
from moto.ecs.models import Service, Task
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.elbv2.models import elbv2_backends
from moto.logs.models import logs_backends

from tests.support.emulator import databases, interfaces
from tests.support.emulator.cloudwatch import ring, ringing_alarms
from tests.support.emulator.first_use import FirstUse


def keep_what_services_are_given() -> None:
    """moto drops a service's deployment settings when it is made; it keeps those of an update."""
    create = EC2ContainerServiceResponse.create_service
    kept = {
        "deploymentConfiguration": "deployment_configuration",
        "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
        "enableExecuteCommand": "enable_execute_command",
        "enableECSManagedTags": "enable_ecs_managed_tags",
        "availabilityZoneRebalancing": "availability_zone_rebalancing",
    }

    def create_service(self: EC2ContainerServiceResponse) -> ActionResult:
        result = create(self)
        service: Service = result._result["service"]
        for parameter, attribute in kept.items():
            setattr(service, attribute, self._get_param(parameter))
        return result

    EC2ContainerServiceResponse.create_service = create_service


def run_tasks() -> None:
    """moto starts no tasks of a service, and registers none with the load balancer.

    A deployment is done at once. It is rolled back when an alarm of the service rings that did not
    ring before, and does not end where the service may neither start a task nor stop one.
    """
    create = EC2ContainerServiceResponse.create_service
    update = EC2ContainerServiceResponse.update_service

    def create_service(self: EC2ContainerServiceResponse) -> ActionResult:
        result = create(self)
        complete(self, result._result["service"])
        return result

    def update_service(self: EC2ContainerServiceResponse) -> ActionResult:
        service: Service = self.ecs_backend._get_service(
            self._get_param("cluster"), self._get_param("service")
        )
        before, settings = service.task_definition, service.deployment_configuration or {}
        result = update(self)
        # What an update does not mention stays.
        settings = settings | (self._get_param("deploymentConfiguration") or {})
        service.deployment_configuration = settings
        alarms = settings.get("alarms", {"rollback": False, "alarmNames": []})
        # AWS does not watch alarms during a deployment if one of them rang before it.
        watched = not ringing_alarms(self, alarms["alarmNames"])
        if service.task_definition == before:
            complete(self, service)
        elif is_bad(self, service):
            ring(self, alarms["alarmNames"])
            if watched and alarms["rollback"]:
                service.task_definition = before
            complete(self, service)
        elif settings.get("maximumPercent") == settings.get("minimumHealthyPercent"):
            [older] = service.deployments
            newer = {
                **older,
                "id": f"ecs-svc/{uuid4().hex[:12]}",
                "rolloutState": "IN_PROGRESS",
                "runningCount": 0,
                "taskDefinition": service.task_definition,
            }
            service.deployments = [newer, {**older, "status": "ACTIVE"}]
        else:
            complete(self, service)
        return result

    def is_bad(asked: EC2ContainerServiceResponse, service: Service) -> bool:
        definition = asked.ecs_backend.describe_task_definition(service.task_definition)
        images = [container["image"] for container in definition.container_definitions]
        return any("@sha256:bad" in image for image in images)

    def complete(asked: EC2ContainerServiceResponse, service: Service) -> None:
        service.running_count, service.pending_count = service.desired_count, 0
        service.deployments = [
            {
                **service.deployments[0],
                "taskDefinition": service.task_definition,
                "desiredCount": service.desired_count,
                "runningCount": service.running_count,
                "pendingCount": 0,
                "rolloutState": "COMPLETED",
            }
        ]
        ec2 = ec2_backends[asked.current_account][asked.region]
        elbv2 = elbv2_backends[asked.current_account][asked.region]
        addresses = interfaces.addresses_of(ec2, service)
        for balanced in service.load_balancers:
            group = elbv2.target_groups[balanced["targetGroupArn"]]
            group.targets.clear()
            for address in addresses:
                group.register([{"Id": address, "Port": balanced["containerPort"]}])

    EC2ContainerServiceResponse.create_service = create_service
    EC2ContainerServiceResponse.update_service = update_service


def describe_what_is_active() -> None:
    """moto describes a family by its newest revision, active or not.

    AWS takes the newest active one (API reference of DescribeTaskDefinition).
    """
    describe = ECSBackend.describe_task_definition

    def newest_active(self: ECSBackend, task_definition_str: str) -> Any:
        name, family = task_definition_str, task_definition_str.rpartition("/")[2]
        if ":" not in family:
            revisions = self.task_definitions.get(family, {}).items()
            newest = max((it for it, found in revisions if found.status == "ACTIVE"), default=0)
            name = f"{family}:{newest}"
        return describe(self, name)

    ECSBackend.describe_task_definition = newest_active


def run_tasks_to_their_end() -> None:
    """moto starts a task of no service's only with its containers' memory, and never ends it.

    Here it is done at once, with its log, and its network interface goes with it. Its status is 1
    if its image is known to fail so: by a SHA-256 that begins with `bad5c`. One whose database is
    a real one is a process, with the status and the output of that. The first one with a
    role does not start.
    """
    run = ECSBackend.run_task
    uses = FirstUse()

    def run_task(self: ECSBackend, *args: Any, **given: Any) -> list[Task]:
        tasks = run(self, *args, **given)
        for task in tasks:
            task.last_status = "STOPPED"
            for attached in task.attachments:
                named = {it["name"]: it["value"] for it in attached["details"]}
                ec2_backends[self.account_id][self.region_name].delete_network_interface(
                    named["networkInterfaceId"]
                )
            definition = self.describe_task_definition(task.task_definition_arn)
            if uses.of(definition.execution_role_arn):
                task.stopped_reason = "ResourceInitializationError: AccessDeniedException"
                task.containers[0].exitCode = None
            else:
                end(self, task, overridden(task, definition.container_definitions[0]))
        return tasks

    def overridden(task: Task, container: dict[str, Any]) -> dict[str, Any]:
        given = (task.overrides or {}).get("containerOverrides", [])
        [own] = [it for it in given if it["name"] == container["name"]] or [{}]
        both = [*container.get("environment", []), *own.get("environment", [])]
        return container | own | {"environment": both}

    def end(backend: ECSBackend, task: Task, container: dict[str, Any]) -> None:
        fails = "@sha256:bad5c" in container["image"]
        status, said = int(fails), "tally: a migration fails" if fails else "already at revision 1"
        environment = {it["name"]: it["value"] for it in container["environment"]}
        if ran := databases.run(container.get("command", []), environment):
            status, said = ran
        task.containers[0].exitCode = status
        to = container["logConfiguration"]["options"]
        stream = f"{to['awslogs-stream-prefix']}/{container['name']}/{task.id}"
        logs = logs_backends[backend.account_id][backend.region_name]
        logs.create_log_stream(to["awslogs-group"], stream)
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line} for line in said.splitlines()]
        logs.put_log_events(to["awslogs-group"], stream, events)

    ECSBackend.run_task = run_task
    # On Fargate the task's size counts.
    ECSBackend._calculate_task_resource_requirements = staticmethod(lambda _: {})


def patch() -> None:
    keep_what_services_are_given()
    run_tasks()
    run_tasks_to_their_end()
    describe_what_is_active()
