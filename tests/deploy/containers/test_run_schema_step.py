"""An apply runs the schema step to its end, and fails with it."""

import pytest

from tests.support.deployment import aws_command

GOOD, BAD = "1" * 64, f"bad5c{'0' * 59}"


class Step:
    """A cluster in which the schema step may run."""

    def __init__(self, emulator, programs):
        self.emulator, self.programs = emulator, programs
        self.ecs = emulator.client("ecs")
        self.ecs.create_cluster(clusterName="containers")
        emulator.client("logs").create_log_group(logGroupName="/tally/display")
        ec2 = emulator.client("ec2")
        subnets = [it["SubnetId"] for it in ec2.describe_subnets()["Subnets"][:2]]
        self.given = {
            "CLUSTER": "containers",
            "SUBNETS": ",".join(subnets),
            "SECURITY_GROUP": ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"],
            "LOG_GROUP": "/tally/display",
        }

    def run(self, digest=GOOD, minutes=1, **changes):
        """Run one of an image."""
        options = {"awslogs-group": "/tally/display", "awslogs-stream-prefix": "schema"}
        defined = self.ecs.register_task_definition(
            family="schema",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            executionRoleArn="arn:aws:iam::123456789012:role/schema-start",
            containerDefinitions=[
                {
                    "name": "schema",
                    "image": f"registry/display@sha256:{digest}",
                    "logConfiguration": {"logDriver": "awslogs", "options": options},
                }
            ],
        )["taskDefinition"]
        return self.start(defined["taskDefinitionArn"], minutes, **changes)

    def start(self, definition, minutes, **changes):
        """Run it as Terraform does."""
        given = {**self.given, "TASK_DEFINITION": definition, "MINUTES": str(minutes), **changes}
        script = "deploy/containers/run-schema-step"
        return self.emulator.run_script(script, self.programs, **given)


@pytest.fixture
def step(new_emulator, tmp_path):
    return Step(new_emulator, aws_command(tmp_path / "programs"))


def test_its_end_is_a_success_with_its_log(step):
    done = step.run()
    assert done.returncode == 0, done.stderr
    assert "already at revision 1" in done.stdout
    # What a role has just been given is not usable at once.
    assert done.stderr.count("did not start: None\tResourceInitializationError") == 1
    # The second one finds it usable.
    assert step.run().stderr == ""


def test_its_failure_is_one_with_its_log(step):
    done = step.run(BAD)
    assert done.returncode == 1
    assert "tally: a migration fails" in done.stdout
    assert "The schema step failed with status 1" in done.stderr


def test_one_that_never_starts_is_a_failure(step):
    done = step.run(minutes=0)
    assert done.returncode == 1
    assert "did not start: None\tResourceInitializationError" in done.stderr


def test_one_that_is_refused_is_a_failure(step):
    done = step.run(minutes=0, CLUSTER="another")
    assert done.returncode == 1
    assert "ClusterNotFoundException" in done.stderr
    assert "did not start: the call was refused" in done.stderr


def test_an_aws_that_can_not_be_asked_is_a_failure(step):
    step.emulator.port = 9
    done = step.start("schema", minutes=0)
    assert done.returncode == 1
    assert "Could not connect" in done.stderr
