"""An apply waits for each container service's deployment, and fails with it."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.support.deployment import Emulator, aws_command

CLUSTER, SERVICE = "containers", "display"
# Neither may a task start beside the others, nor one of those end before.
STUCK = {"maximumPercent": 100, "minimumHealthyPercent": 100}


@dataclass(frozen=True)
class Containers:
    """A service that runs revision 1 of its task; revision 2 is good, revision 3 bad."""

    emulator: Emulator
    programs: Path
    revisions: list[str]

    @classmethod
    def start(cls, folder):
        emulator = Emulator.start(folder)
        ecs, ec2 = emulator.client("ecs"), emulator.client("ec2")
        subnet = ec2.describe_subnets()["Subnets"][0]
        [group] = ec2.describe_security_groups(
            Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}]
        )["SecurityGroups"]
        emulator.put_alarm("errors")

        def define(digest):
            image = f"registry/display@sha256:{digest}"
            container = {"name": SERVICE, "image": image, "memory": 512}
            defined = ecs.register_task_definition(family=SERVICE, containerDefinitions=[container])
            return defined["taskDefinition"]["taskDefinitionArn"]

        revisions = [define(digest) for digest in ("1" * 64, "2" * 64, f"bad{'0' * 61}")]
        ecs.create_cluster(clusterName=CLUSTER)
        ecs.create_service(
            cluster=CLUSTER,
            serviceName=SERVICE,
            taskDefinition=revisions[0],
            desiredCount=2,
            launchType="FARGATE",
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": [subnet["SubnetId"]],
                    "securityGroups": [group["GroupId"]],
                }
            },
            deploymentConfiguration={
                "maximumPercent": 200,
                "minimumHealthyPercent": 100,
                "alarms": {"enable": True, "rollback": True, "alarmNames": ["errors"]},
            },
        )
        return cls(emulator, aws_command(folder / "programs"), revisions)

    def deploy(self, revision, **settings):
        """Tell the service to run a revision, and wait as Terraform does."""
        definition = self.revisions[revision - 1]
        self.emulator.client("ecs").update_service(
            cluster=CLUSTER,
            service=SERVICE,
            taskDefinition=definition,
            deploymentConfiguration=settings,
        )
        return self.wait(definition)

    def wait(self, definition, **environment):
        return self.emulator.run_script(
            "deploy/containers/await-deployment",
            self.programs,
            CLUSTER=CLUSTER,
            SERVICE=SERVICE,
            TASK_DEFINITION=definition,
            MINUTES="0",
            **environment,
        )


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    containers = Containers.start(tmp_path_factory.mktemp("containers"))
    yield containers
    containers.emulator.stop()


@pytest.fixture
def containers(started):
    """A copy, to be changed."""
    emulator = started.emulator.copy()
    yield replace(started, emulator=emulator)
    emulator.stop()


def test_a_completed_deployment_is_a_success(containers):
    done = containers.deploy(2)
    assert done.returncode == 0, done.stderr
    assert containers.revisions[1] in done.stdout


def test_a_deployment_that_was_rolled_back_is_a_failure(containers):
    done = containers.deploy(3)
    assert done.returncode == 1
    assert "display was rolled back" in done.stderr
    assert f"COMPLETED: {containers.revisions[0]}" in done.stderr


def test_a_deployment_that_does_not_end_is_a_failure(containers):
    done = containers.deploy(2, **STUCK)
    assert done.returncode == 1
    assert "display: not done within 0 minutes" in done.stderr


def test_an_aws_that_can_not_be_asked_is_a_failure(containers):
    containers.emulator.port = 9
    done = containers.wait(containers.revisions[0], AWS_MAX_ATTEMPTS="1")
    assert done.returncode != 0
    assert "Could not connect" in done.stderr
