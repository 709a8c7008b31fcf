"""What was applied passes; and for each requirement, breaking exactly that fails exactly that."""

import json
import subprocess
import sys
from collections import Counter

import pytest

from tally.aws.check import Status, requirements
from tests.aws.mutations import MUTATIONS
from tests.aws.test_public import BROKEN

PROFILES = ("production", "small")
# Met by no deployment here: waived, for the reason that stands in the register.
WAIVED = {"database-secrets-rotate"}


@pytest.fixture(params=PROFILES)
def stand(request):
    return request.getfixturevalue(f"{request.param}_stand")


@pytest.fixture
def copy(request):
    """A copy of a profile's emulator, which ends with the test."""
    copies = []

    def copy(profile):
        copies.append(request.getfixturevalue(f"{profile}_stand").emulator.copy())
        return copies[-1]

    yield copy
    for emulator in copies:
        emulator.stop()


def failed(report):
    return {row.requirement.id for row in report.rows if row.status == Status.FAIL}


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


def test_what_was_applied_passes(stand, look):
    report = look(stand.emulator)
    assert report.stale_waivers == ()
    assert {row.requirement.id: row.evidence for row in report.rows if row.status == "fail"} == {}
    assert {row.requirement.id for row in report.rows if row.status == Status.WAIVED} == WAIVED


# What does not concern a profile: AWS keeps nothing of it, or it is the other profile's way.
NOT_APPLICABLE = {
    "production": {"network-peering", "machines-refresh", *BROKEN},
    "small": {"network-peering", "machines-refresh", *BROKEN, "ingress-origin", "database-zones"},
}


def test_only_what_does_not_concern_a_profile_is_left_out(stand, look):
    report = look(stand.emulator)
    left_out = {row.requirement.id for row in report.rows if row.status == Status.NOT_APPLICABLE}
    assert left_out == NOT_APPLICABLE[stand.profile]


def test_without_its_waiver_a_waived_requirement_fails(production_stand, look):
    assert failed(look(production_stand.emulator, waivers={})) == WAIVED


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.id)
def test_breaking_one_thing_fails_one_requirement(mutation, copy, cloud, look):
    emulator = copy(mutation.profile)
    mutation.change(cloud(emulator))
    report = look(emulator)
    expected = {mutation.requirement, *mutation.companions}
    assert failed(report) == expected, [
        (row.requirement.id, [str(it) for it in row.evidence if not it.good])
        for row in report.rows
        if row.status == Status.FAIL
    ]
    assert not report.passed


def test_an_account_with_nothing_in_it_fails_everywhere(copy, cloud, look):
    """No finding is a failure, never a pass."""
    emulator = copy("production")
    aws = cloud(emulator)
    aws.ec2.delete_tags(Resources=[aws.vpc()], Tags=[{"Key": "Deployment"}])
    report = look(emulator)
    passed = {row.requirement.id for row in report.rows if row.status == Status.PASS}
    # These are asked for by name and do not need the network.
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

    def test_passes_and_says_so(self, production_stand):
        done = self.run(production_stand.emulator, "--json")
        assert done.returncode == 0, done.stdout
        report = json.loads(done.stdout)
        assert report["passed"] is True
        assert report["profile"] == "production"
        assert report["counts"]["fail"] == 0
        assert report["reachability"]["paths"]["/adder_service*"] == "adder"

    def test_fails_with_the_evidence(self, copy, cloud, tmp_path):
        emulator = copy("production")
        aws = cloud(emulator)
        aws.let_in("adder", {"CidrIp": "0.0.0.0/0"}, 22)
        page = tmp_path / "report.html"
        done = self.run(emulator, "--html", str(page))
        assert done.returncode == 1
        assert "FAIL  network-administration: " in done.stdout
        assert f"✗ {aws.group('adder')} (tally-adder): 0.0.0.0/0 on 22" in done.stdout
        assert aws.group("adder") in page.read_text()

    def test_a_deployment_that_is_not_there_fails(self, production_stand):
        done = self.run(production_stand.emulator, "--name", "other")
        assert done.returncode == 1
        assert "there should be one VPC tagged Deployment=other (found: none)" in done.stdout

    def test_an_aws_that_can_not_be_asked_is_another_matter(self, production_stand):
        done = self.run(production_stand.emulator, AWS_ENDPOINT_URL="http://127.0.0.1:9")
        assert done.returncode == 3
        assert "AWS can't be asked" in done.stderr
        assert "Traceback" not in done.stderr

    def test_a_waiver_file_that_breaks_a_rule_is_refused(self, production_stand, tmp_path):
        path = tmp_path / "waivers.toml"
        path.write_text("[check.network-zones]\nreason = 'because'\n")
        done = self.run(production_stand.emulator, "--waivers", str(path))
        assert done.returncode == 2
        assert "check.network-zones must have reason, owner and expires" in done.stderr
