"""An AWS to apply to: moto's server in a process of its own, with what it lacks filled in.

    python -m tests.support.emulator --port 5000 --calls calls.jsonl

Every call is written to the file, one JSON object a line: `service` and `action` as in AWS's own
API models, and `agent`, the caller's User-Agent. Filled in are

- `application-autoscaling:ListTagsForResource`, without which an apply hangs;
- CloudFront's VPC origins, and a distribution's reference to one;
- instance refreshes of auto scaling groups, and the tasks of ECS services: both are there at once;
- a bad release, known by a SHA-256 that begins with `bad`: wherever it runs, the alarms that are to
  take it back ring;
- who is told of a budget or by a topic, and a budget's tags;
- what is given to ECS services and databases, and forgotten by moto;
- letters for zones as an account may have them: the first is the oldest zone, which lacks much;
- what ends with a machine, a network or a bucket.

It prints its port and process id and then reads commands. `fork` makes a copy of everything it
holds, which serves on a port of its own until it is ended, and prints the same of that: a test may
break things in a copy, and there is nothing to undo. The end of its input ends it and its copies.
"""

import argparse
import gzip
import json
import os
import re
import signal
import sys
import threading
from base64 import b64decode
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import uuid4

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.budgets.models import Budget, Notification
from moto.budgets.responses import BudgetsResponse
from moto.cloudfront import models as cloudfront
from moto.cloudfront import urls as cloudfront_urls
from moto.cloudfront.exceptions import CloudFrontException
from moto.cloudfront.responses import CloudFrontResponse
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.responses import ActionResult, BaseResponse
from moto.ec2.models import ec2_backends
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend
from moto.ec2.models.instances import Instance, MetadataOptions
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.models.vpcs import VPCBackend
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.utils import convert_tag_spec, parse_user_data
from moto.ecs.models import Service
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.elbv2.models import FakeLoadBalancer, elbv2_backends
from moto.iam.access_control import PermissionResult
from moto.rds.models import DBInstance, RDSBackend
from moto.route53 import models as route53
from moto.s3.models import FakeBucket, FakeDeleteMarker
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.sns.models import Topic
from werkzeug.serving import BaseWSGIServer, make_server


def record_calls(path: Path) -> None:
    """Write each call to the file, by the name that AWS gives it."""
    calls = path.open("a", buffering=1)
    set_up = BaseResponse.setup_class

    def record(self: BaseResponse, request: Any, *args: Any, **kwargs: Any) -> None:
        set_up(self, request, *args, **kwargs)
        call = {
            "service": self.boto3_service_name,
            "action": self._get_action(),
            "agent": request.headers.get("User-Agent", ""),
        }
        calls.write(json.dumps(call) + "\n")

    BaseResponse.setup_class = record


def add_scalable_target_tags() -> None:
    """Terraform reads a scalable target's tags after making it, and asks for ever without them."""
    tags: dict[str, dict[str, str]] = {}
    register = ApplicationAutoScalingResponse.register_scalable_target

    def register_scalable_target(self: ApplicationAutoScalingResponse) -> str:
        answer = register(self)
        if given := self._get_param("Tags"):
            tags[json.loads(answer)["ScalableTargetARN"]] = given
        return answer

    def list_tags_for_resource(self: ApplicationAutoScalingResponse) -> str:
        return json.dumps({"Tags": tags.get(self._get_param("ResourceARN"), {})})

    def tag_resource(self: ApplicationAutoScalingResponse) -> str:
        tags.setdefault(self._get_param("ResourceARN"), {}).update(self._get_param("Tags"))
        return "{}"

    ApplicationAutoScalingResponse.register_scalable_target = register_scalable_target
    ApplicationAutoScalingResponse.list_tags_for_resource = list_tags_for_resource
    ApplicationAutoScalingResponse.tag_resource = tag_resource


def add_vpc_origins() -> None:
    """CloudFront's way to a load balancer inside a network."""
    origins: dict[str, dict[str, Any]] = {}

    def result(origin: dict[str, Any]) -> ActionResult:
        return ActionResult({"VpcOrigin": origin, "ETag": origin["ETag"]})

    def create_vpc_origin(self: CloudFrontResponse) -> ActionResult:
        name = f"vo_{uuid4().hex[:22]}"
        arn = f"arn:aws:cloudfront::{self.current_account}:vpcorigin/{name}"
        origins[name] = {
            "Id": name,
            "Arn": arn,
            "ETag": uuid4().hex,
            "Status": "Deployed",
            "CreatedTime": cloudfront.utcnow(),
            "LastModifiedTime": cloudfront.utcnow(),
            "VpcOriginEndpointConfig": self._get_param("VpcOriginEndpointConfig"),
        }
        self.backend.tagger.tag_resource(arn, self._get_param("Tags.Items", []))
        return result(origins[name])

    def get_vpc_origin(self: CloudFrontResponse) -> ActionResult:
        if (name := self._get_param("Id")) not in origins:
            raise _NoSuchVpcOrigin
        return result(origins[name])

    def list_vpc_origins(self: CloudFrontResponse) -> ActionResult:
        items = [
            {**origin, "OriginEndpointArn": origin["VpcOriginEndpointConfig"]["Arn"]}
            for origin in origins.values()
        ]
        listed = {"MaxItems": 100, "IsTruncated": False, "Quantity": len(items), "Items": items}
        return ActionResult({"VpcOriginList": listed})

    def delete_vpc_origin(self: CloudFrontResponse) -> ActionResult:
        if (name := self._get_param("Id")) not in origins:
            raise _NoSuchVpcOrigin
        return result(origins.pop(name))

    for method in (create_vpc_origin, get_vpc_origin, list_vpc_origins, delete_vpc_origin):
        setattr(CloudFrontResponse, method.__name__, method)
    cloudfront_urls.url_paths |= {
        "{0}/2020-05-31/vpc-origin$": CloudFrontResponse.dispatch,
        "{0}/2020-05-31/vpc-origin/(?P<vpc_origin_id>[^/]+)$": CloudFrontResponse.dispatch,
    }

    make_origin = cloudfront.Origin.__init__

    def keep_reference(self: cloudfront.Origin, origin: dict[str, Any]) -> None:
        make_origin(self, origin)
        self.vpc_origin_config = origin.get("VpcOriginConfig")

    cloudfront.Origin.__init__ = keep_reference


class _NoSuchVpcOrigin(CloudFrontException):
    def __init__(self) -> None:
        super().__init__("EntityNotFound", "There is no such VPC origin.")


def add_instance_refreshes() -> None:
    """Replacing machines takes no time here, unless the group is kept from starting any."""
    refreshes: dict[str, list[dict[str, Any]]] = {}

    def start_instance_refresh(self: AutoScalingResponse) -> ActionResult:
        name = self._get_param("AutoScalingGroupName")
        preferences = self._get_param("Preferences") or {}
        desired = self._get_param("DesiredConfiguration") or {}
        if preferences.get("AutoRollback") and not desired:
            raise ValidationError("AutoRollback needs a DesiredConfiguration")
        group = self.autoscaling_backend.autoscaling_groups[name]
        refresh = {
            "InstanceRefreshId": str(uuid4()),
            "AutoScalingGroupName": name,
            "StartTime": datetime.now(UTC),
            "DesiredConfiguration": desired,
            "Preferences": preferences,
        }
        watched = preferences.get("AlarmSpecification", {}).get("Alarms", [])
        if makes_bad_machines(group, desired.get("LaunchTemplate")):
            ring(self, watched)
        # Whether AWS minds an alarm that rang before is not documented; here it does.
        if ringing := ringing_alarms(self, watched):
            end(refresh, "RollbackSuccessful", f"in ALARM: {', '.join(ringing)}")
        elif "Launch" in group._suspended_processes:
            refresh |= {"Status": "InProgress", "PercentageComplete": 0}
        else:
            replace_machines(group, desired.get("LaunchTemplate"))
            end(refresh, "Successful")
        refreshes.setdefault(name, []).insert(0, refresh)
        return ActionResult({"InstanceRefreshId": refresh["InstanceRefreshId"]})

    def end(refresh: dict[str, Any], status: str, reason: str = "") -> None:
        refresh |= {"Status": status, "StatusReason": reason, "EndTime": datetime.now(UTC)}

    def end_newest(self: AutoScalingResponse, status: str) -> ActionResult:
        [newest, *_] = refreshes.get(self._get_param("AutoScalingGroupName"), []) or [None]
        if newest is None or newest["Status"] != "InProgress":
            raise ActiveInstanceRefreshNotFound
        end(newest, status, "asked for")
        return ActionResult({"InstanceRefreshId": newest["InstanceRefreshId"]})

    def cancel_instance_refresh(self: AutoScalingResponse) -> ActionResult:
        return end_newest(self, "Cancelled")

    def rollback_instance_refresh(self: AutoScalingResponse) -> ActionResult:
        return end_newest(self, "RollbackSuccessful")

    def describe_instance_refreshes(self: AutoScalingResponse) -> ActionResult:
        group = self._get_param("AutoScalingGroupName")
        wanted = self._get_param("InstanceRefreshIds") or []
        found = [
            refresh
            for refresh in refreshes.get(group, [])
            if not wanted or refresh["InstanceRefreshId"] in wanted
        ]
        return ActionResult({"InstanceRefreshes": found})

    for method in (
        start_instance_refresh,
        cancel_instance_refresh,
        rollback_instance_refresh,
        describe_instance_refreshes,
    ):
        setattr(AutoScalingResponse, method.__name__, method)

    # A machine is of the version that it was made from, whatever its group is told later.
    make = InstanceState.__init__

    def keep_version(self: InstanceState, *args: Any, **given: Any) -> None:
        make(self, *args, **given)
        self.made_from = self.auto_scaling_group.launch_template

    InstanceState.__init__ = keep_version
    InstanceState.launch_template = property(lambda self: self.made_from)


def makes_bad_machines(group: FakeAutoScalingGroup, template: dict[str, Any] | None) -> bool:
    if template is None:
        return False
    made_from = group.ec2_backend.get_launch_template(template["LaunchTemplateId"])
    given = made_from.get_version(template["Version"]).data.get("UserData")
    data = b64decode(str(given or ""))
    # Terraform gzips it.
    text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    return re.search(rb"\bbad[0-9a-f]{61}\b", text) is not None


def replace_machines(group: FakeAutoScalingGroup, template: dict[str, Any] | None) -> None:
    if template:
        group._set_launch_configuration("", template, None)
    count = group.desired_capacity
    group.set_desired_capacity(0)
    group.set_desired_capacity(count)


class ActiveInstanceRefreshNotFound(AutoscalingClientError):
    def __init__(self) -> None:
        super().__init__("ActiveInstanceRefreshNotFound", "No instance refresh is in progress.")


def ringing_alarms(asked: BaseResponse, names: Iterable[str]) -> list[str]:
    """Those of some alarms that are in ALARM, in the account and region of a request."""
    alarms = cloudwatch_backends[asked.current_account][asked.region].alarms
    return [name for name in names if name in alarms and alarms[name].state_value == "ALARM"]


def ring(asked: BaseResponse, names: Iterable[str]) -> None:
    """Put alarms into ALARM, as the errors of a bad release do."""
    cloudwatch = cloudwatch_backends[asked.current_account][asked.region]
    for name in names:
        cloudwatch.set_alarm_state(name, "a bad release", "{}", "ALARM")


def add_budget_subscribers() -> None:
    """Who is told when a budget is passed, and a budget's tags."""
    tags: dict[str, list[dict[str, str]]] = {}
    create = BudgetsResponse.create_budget

    def create_budget(self: BudgetsResponse) -> str:
        answer = create(self)
        name = self._get_param("Budget")["BudgetName"]
        arn = f"arn:aws:budgets::{self._get_param('AccountId')}:budget/{name}"
        tags[arn] = self._get_param("ResourceTags") or []
        return answer

    def wanted(self: BudgetsResponse) -> tuple[Budget, list[Notification]]:
        budget = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")]
        asked = self._get_param("Notification")
        return budget, [
            notification
            for notification in budget.notifications
            if notification.details["NotificationType"] == asked["NotificationType"]
            and notification.details["Threshold"] == asked["Threshold"]
        ]

    def describe_subscribers_for_notification(self: BudgetsResponse) -> str:
        _, found = wanted(self)
        return json.dumps({"Subscribers": [it for each in found for it in each.subscribers]})

    def update_subscriber(self: BudgetsResponse) -> str:
        old, new = self._get_param("OldSubscriber"), self._get_param("NewSubscriber")
        for notification in wanted(self)[1]:
            notification.subscribers = [new if it == old else it for it in notification.subscribers]
        return "{}"

    def delete_subscriber(self: BudgetsResponse) -> str:
        budget, found = wanted(self)
        gone = self._get_param("Subscriber")
        for notification in found:
            notification.subscribers = [it for it in notification.subscribers if it != gone]
            if not notification.subscribers:
                # AWS ends a notification with its last subscriber.
                budget.delete_notification(notification.details)
        return "{}"

    def list_tags_for_resource(self: BudgetsResponse) -> str:
        return json.dumps({"ResourceTags": tags.get(self._get_param("ResourceARN"), [])})

    BudgetsResponse.create_budget = create_budget
    BudgetsResponse.describe_subscribers_for_notification = describe_subscribers_for_notification
    BudgetsResponse.update_subscriber = update_subscriber
    BudgetsResponse.delete_subscriber = delete_subscriber
    BudgetsResponse.list_tags_for_resource = list_tags_for_resource


def keep_what_services_are_given() -> None:
    """An ECS service's deployment settings, at its making; moto keeps those of an update."""
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
    """An ECS service's tasks, as far as their number and the load balancer's targets go.

    A deployment is done at once. It goes back when an alarm of the service rings that did not ring
    before, and does not end where the service may neither start a task nor stop one.
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
        subnets = service.network_configuration["awsvpcConfiguration"]["subnets"]
        ec2 = ec2_backends[asked.current_account][asked.region]
        networks = [ip_network(ec2.get_subnet(it).cidr_block) for it in subnets]
        elbv2 = elbv2_backends[asked.current_account][asked.region]
        for balanced in service.load_balancers:
            group = elbv2.target_groups[balanced["targetGroupArn"]]
            group.targets.clear()
            for number in range(service.desired_count):
                address = networks[number % len(networks)][10 + number]
                group.register([{"Id": str(address), "Port": balanced["containerPort"]}])

    EC2ContainerServiceResponse.create_service = create_service
    EC2ContainerServiceResponse.update_service = update_service


def name_zones_as_aws_does() -> None:
    """A hosted zone's id begins with Z."""
    make = route53.create_route53_zone_id
    route53.create_route53_zone_id = lambda *given, **named: f"Z{make(*given, **named)}"


def give_the_first_letter_to_the_oldest_zone() -> None:
    """Each older account has its own letters for the zones."""
    zones = {zone.name: zone for zone in RegionsAndZonesBackend.zones["us-east-1"]}
    first, oldest = zones["us-east-1a"], zones["us-east-1e"]
    first.zone_id, oldest.zone_id = oldest.zone_id, first.zone_id


def give_machines_what_their_template_says() -> None:
    """A launch template's metadata options, and its disks only, with their tags."""
    make = Instance.__init__
    add_device = Instance.add_block_device

    def keep(self: Instance, ec2_backend: Any, *args: Any, **given: Any) -> None:
        make(self, ec2_backend, *args, **given)
        if (template := given.get("launch_template")) and not given.get("metadata_options"):
            data = ec2_backend._get_template_from_args(template).data
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
    """A template's own tags apart from those of what is made from it; each version's user data."""
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


def keep_what_databases_are_given() -> None:
    """A database's performance insights, an id of its own, and the owner's password that it has.

    What is restored has no source, as a replica would, and of some settings only what is asked for.
    """
    not_restored = {
        "copy_tags_to_snapshot": False,
        "deletion_protection": False,
        "enable_iam_database_authentication": False,
        "multi_az": False,
        "vpc_security_group_ids": [],  # on AWS the network's default group, which is closed
    }
    make = DBInstance.__init__
    update = DBInstance.update
    restore = RDSBackend.restore_db_instance_to_point_in_time

    def keep(self: DBInstance, *args: Any, **given: Any) -> None:
        make(self, *args, **given)
        self.performance_insights_enabled = given.get("enable_performance_insights", False)
        self.performance_insights_kms_key_id = given.get("performance_insights_kms_key_id")
        self.performance_insights_retention_period = given.get(
            "performance_insights_retention_period"
        )
        self.dbi_resource_id = f"db-{uuid4().hex[:26].upper()}"

    def keep_password(self: DBInstance, **given: Any) -> None:
        if self.manage_master_user_password:
            given = {
                name: value
                for name, value in given.items()
                if (name, value) != ("manage_master_user_password", True)
            }
        update(self, **given)

    def restore_apart(self: RDSBackend, source: str, target: str, given: Any) -> DBInstance:
        given.pop("source_db_instance_identifier", None)
        restored = restore(self, source, target, given)
        for name in not_restored.keys() - given.keys():
            setattr(restored, name, not_restored[name])
        if not given.get("manage_master_user_password"):
            restored.update(manage_master_user_password=False)
        return restored

    DBInstance.__init__ = keep
    DBInstance.update = keep_password
    RDSBackend.restore_db_instance_to_point_in_time = restore_apart


def face_the_internet() -> None:
    """A load balancer for which nothing else is said."""
    make = FakeLoadBalancer.__init__

    def face(self: FakeLoadBalancer, *args: Any, **given: Any) -> None:
        make(self, *args, **given)
        self.scheme = self.scheme or "internet-facing"

    FakeLoadBalancer.__init__ = face


def let_everybody_in() -> None:
    """Keep bucket policies without enforcing them: they refuse what does not come over TLS."""
    FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL


def count_subscriptions() -> None:
    """Those of a topic; whoever is asked confirms at once."""

    def count(topic: Topic) -> int:
        subscriptions = topic.sns_backend.subscriptions.values()
        return sum(subscription.topic.arn == topic.arn for subscription in subscriptions)

    Topic.subscriptions_confimed = property(count, lambda *_: None)


def end_what_ends_with_others() -> None:
    """A machine's own network interfaces, and a network's own access list."""
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


def delete_markers_too() -> None:
    """What was deleted in a versioned bucket whose versioning has ended."""
    FakeDeleteMarker.dispose = lambda _: None


class AnswersOnce:
    """Gives a repeated request its first answer.

    A client that did not get an answer sends its request again under the same invocation id;
    taken for a new one, a creation would fail as a duplicate.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._answers: dict[str, tuple[list[Any], list[bytes]]] = {}
        # A client that lost patience may ask again while its first request is still being answered.
        self._asking: dict[str, threading.Lock] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        invocation = environ.get("HTTP_AMZ_SDK_INVOCATION_ID")
        if invocation is None or environ["REQUEST_METHOD"] not in {"POST", "PUT"}:
            return self._application(environ, start_response)
        with self._asking.setdefault(invocation, threading.Lock()):
            if invocation not in self._answers:
                answer: list[Any] = []
                said = list(self._application(environ, lambda *given: answer.extend(given)))
                self._answers[invocation] = answer, said
            head, body = self._answers[invocation]
            if not head[0].startswith("2"):
                # What failed may succeed at the next attempt.
                del self._answers[invocation]
        start_response(*head)
        return body


def make_ready(port: int, application: Callable[..., Iterable[bytes]]) -> BaseWSGIServer:
    """Open the port and say so."""
    server = make_server(
        "127.0.0.1", port, application, threaded=True, request_handler=MotoRequestHandler
    )
    sys.stdout.write(f"{server.port} {os.getpid()}\n")
    sys.stdout.flush()
    return server


def main() -> None:
    """Serve, and fork when told to, until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--calls", type=Path, required=True)
    arguments = parser.parse_args()
    record_calls(arguments.calls)
    add_scalable_target_tags()
    add_vpc_origins()
    add_instance_refreshes()
    add_budget_subscribers()
    keep_what_services_are_given()
    run_tasks()
    keep_what_databases_are_given()
    keep_launch_templates_whole()
    give_machines_what_their_template_says()
    name_zones_as_aws_does()
    give_the_first_letter_to_the_oldest_zone()
    face_the_internet()
    let_everybody_in()
    count_subscriptions()
    end_what_ends_with_others()
    delete_markers_too()

    # Copies that have ended are not waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    application = AnswersOnce(DomainDispatcherApplication(create_backend_app))
    server = make_ready(arguments.port, application)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    copies = []
    for command in sys.stdin:
        if command.strip() != "fork":
            raise SystemExit(f"not a command: {command!r}")
        if copy := os.fork():
            copies.append(copy)
            continue
        server.socket.close()
        make_ready(0, application).serve_forever()
    for copy in copies:
        try:
            os.kill(copy, signal.SIGTERM)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()
