"""What was applied passes; and for each requirement, breaking exactly that fails exactly that."""

import json
import re
import subprocess
import sys
from collections import Counter

import pytest

from tally.aws.check import Status, requirements
from tests.support.mutations import MET, MUTATIONS
from tests.support.mutations.public import BROKEN
from tests.support.paths import ROOT

# Met by no deployment here: waived, for the reason that stands in the register.
WAIVED = {"database-secrets-rotate"}


def failed(report):
    return {result.requirement.id for result in report.results if result.status == Status.FAIL}


def test_each_requirement_has_an_id_of_its_own():
    counted = Counter(requirement.id for requirement in requirements())
    assert max(counted.values()) == 1


def test_the_controls_that_apply_are_all_there():
    """AWS's own ids, as in Security Hub's catalogue and in the CIS benchmark 5.0."""
    wanted = {
        *(f"EC2.{number}" for number in (2, 3, 6, 8, 9, 13, 15, 18, 19)),
        *(f"ELB.{number}" for number in (1, 4, 5, 6, 12, 13, 16)),
        *(f"ECS.{number}" for number in (2, 3, 4, 5, 8, 9, 12)),
        *(f"ECR.{number}" for number in (1, 2, 3)),
        *(f"RDS.{number}" for number in (2, 3, 5, 8, 9, 10, 11, 13, 17, 25)),
        *(f"S3.{number}" for number in (5, 8, 12, 13)),
        *("IAM.1", "IAM.21", "SecretsManager.1"),
        *(f"CIS 5.{number}" for number in range(2, 8)),
    }
    assert wanted <= {control for it in requirements() for control in it.controls}


def test_every_requirement_is_broken_by_a_test():
    broken = {mutation.requirement for mutation in MUTATIONS} | set(BROKEN) | WAIVED
    assert broken == {requirement.id for requirement in requirements()}


def test_what_was_applied_passes(deployment, look):
    report = look(deployment)
    assert report.stale_waivers == ()
    assert {
        result.requirement.id: result.evidence
        for result in report.results
        if result.status == "fail"
    } == {}
    assert {
        result.requirement.id for result in report.results if result.status == Status.WAIVED
    } == WAIVED


# What does not concern a profile: AWS keeps nothing of it, or it is the other profile's way.
NOT_APPLICABLE = {
    "production": {"network-peering", "machines-refresh", "ingress-inside", *BROKEN},
    "small": {
        *("network-peering", "machines-refresh", *BROKEN),
        *("machines-two", "containers-two", "database-zones"),
        *("containers-insights", "network-registry"),
    },
}


def test_only_what_does_not_concern_a_profile_is_left_out(deployment, look):
    report = look(deployment)
    left_out = {
        result.requirement.id for result in report.results if result.status == Status.NOT_APPLICABLE
    }
    assert left_out == NOT_APPLICABLE[deployment.profile]


def test_a_practised_restore_that_is_under_way_fails_nothing(production, emulator_of, cloud, look):
    emulator = emulator_of(production)
    rds, live = cloud(production, emulator).rds, f"{production.name}-database"
    [found] = rds.describe_db_instances(DBInstanceIdentifier=live)["DBInstances"]
    rds.restore_db_instance_to_point_in_time(
        SourceDBInstanceIdentifier=live,
        TargetDBInstanceIdentifier=f"{production.name}-practice",
        UseLatestRestorableTime=True,
        Tags=found["TagList"],
    )
    assert failed(look(production, emulator)) == set()


def test_without_its_waiver_a_waived_requirement_fails(production, look):
    assert failed(look(production, waivers={})) == WAIVED


def test_a_waived_requirement_can_be_met(production, emulator_of, cloud, look):
    assert set(MET) == WAIVED
    emulator = emulator_of(production)
    aws = cloud(production, emulator)
    for requirement, meet in MET.items():
        meet(aws)
        report = look(production, emulator, waivers={})
        assert requirement not in failed(report)
    assert failed(report) == set()
    # The waiver is then one too many.
    report = look(production, emulator)
    assert report.stale_waivers == tuple(f"{it}: is met and needs no waiver" for it in MET)
    assert not report.passed


def test_a_waived_requirement_is_met_by_all_or_not_at_all(production, emulator_of, cloud, look):
    emulator = emulator_of(production)
    cloud(production, emulator).rotate("operator")
    assert failed(look(production, emulator, waivers={})) == {"database-secrets-rotate"}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.id)
def test_breaking_one_thing_fails_one_requirement(mutation, deployments, emulator_of, cloud, look):
    deployment = deployments[mutation.profile]
    emulator, touched = emulator_of(deployment), set()
    mutation.change(cloud(deployment, emulator, touched))
    report = look(deployment, emulator, touched=touched)
    expected = {mutation.requirement, *mutation.companions}
    assert failed(report) == expected, [
        (result.requirement.id, [str(it) for it in result.evidence if not it.good])
        for result in report.results
        if result.status == Status.FAIL
    ]
    assert not report.passed


# Each changes what other services answer, too.
FAR_REACHING = (
    "keep_a_target_that_does_not_serve",
    "keep_tasks_in_one_zone",
    "lead_cloudfront_elsewhere",
    "send_the_adders_log_nowhere",
    "stop_scaling",
)


@pytest.mark.parametrize("name", FAR_REACHING)
def test_what_is_not_asked_again_is_as_before(name, deployments, emulator_of, cloud, look):
    (mutation,) = (it for it in MUTATIONS if it.name == name)
    deployment = deployments[mutation.profile]
    emulator, touched = emulator_of(deployment), set()
    mutation.change(cloud(deployment, emulator, touched))
    assert look(deployment, emulator, touched=touched).results == look(deployment, emulator).results


def test_without_its_network_nothing_about_the_network_passes(production, emulator_of, cloud, look):
    """No finding is a failure, never a pass."""
    emulator = emulator_of(production)
    aws = cloud(production, emulator)
    aws.ec2.delete_tags(Resources=[aws.vpc()], Tags=[{"Key": "Deployment"}])
    report = look(production, emulator)
    passed = {result.requirement.id for result in report.results if result.status == Status.PASS}
    assert not {it for it in passed if it.startswith(("network", "reachability", "ingress"))}


class TestCommand:
    @staticmethod
    def run(emulator, *arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "tally", "check", *arguments],
            env={**emulator.environment, "PATH": "/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def test_passes_and_says_so(self, production):
        done = self.run(production.emulator, "--json")
        assert done.returncode == 0, done.stdout
        report = json.loads(done.stdout)
        assert report["passed"] is True
        assert report["profile"] == "production"
        assert report["counts"]["fail"] == 0
        assert report["reachability"]["paths"]["/adder_service*"] == "adder"

    def test_fails_with_the_evidence(self, production, emulator_of, cloud, tmp_path):
        emulator = emulator_of(production)
        aws = cloud(production, emulator)
        aws.let_in("adder", {"CidrIp": "0.0.0.0/0"}, 22)
        page = tmp_path / "report.html"
        done = self.run(emulator, "--html", str(page))
        assert done.returncode == 1
        assert "FAIL  network-administration: " in done.stdout
        assert f"✗ {aws.group('adder')} (tally-adder): 0.0.0.0/0 on 22" in done.stdout
        assert aws.group("adder") in page.read_text()

    def test_a_deployment_that_is_not_there_fails(self, production):
        done = self.run(production.emulator, "--name", "other")
        assert done.returncode == 1
        assert "there should be one VPC tagged Deployment=other (found: none)" in done.stdout

    def test_an_aws_that_can_not_be_asked_is_another_matter(self, production):
        done = self.run(production.emulator, AWS_ENDPOINT_URL="http://127.0.0.1:9")
        assert done.returncode == 3
        assert "can't reach AWS" in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_waiver_file_that_breaks_a_rule_is_refused(self, production, tmp_path):
        path = tmp_path / "waivers.toml"
        path.write_text("[check.network-zones]\nreason = 'because'\n")
        done = self.run(production.emulator, "--waivers", str(path))
        assert done.returncode == 2
        assert "check.network-zones must have reason, owner and expires" in done.stderr


def test_the_checklist_names_every_requirement_and_no_others():
    table = (ROOT / "docs" / "requirements.md").read_text()
    named = {
        name
        for line in table.splitlines()
        if line.startswith("| ")
        for name in re.findall(r"`([a-z0-9-]+)`", line.split("|")[-2])
    }
    assert named == {requirement.id for requirement in requirements()}
