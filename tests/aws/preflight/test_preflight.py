"""What would go wrong with a first apply is said before it, each finding provoked.

AWS is moto's; its free tier, and the quotas of a new account, moto has not. GitHub and the programs
of this machine are told.
"""

import json
import re
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from click.testing import CliRunner
from moto import mock_aws

from tally.aws import preflight
from tally.aws.inventory import Inventory
from tally.aws.preflight import account, cost, report, tools
from tally.aws.preflight.finding import Situation, Status, Unanswered
from tally.cli import main
from tests.support.paths import INFRA, ROOT

REVIEWERS = [{"type": "User", "reviewer": {"login": "grace"}}]
GITHUB = {
    "repos/example/tally": {"id": 1296269, "default_branch": "main"},
    "repos/example/tally/environments/production": {
        "protection_rules": [{"type": "required_reviewers", "reviewers": REVIEWERS}]
    },
    "repos/example/tally/actions/oidc/customization/sub": {"use_default": True},
}
VERSIONS = {
    "terraform": "Terraform v1.11.4\n",
    "aws": "aws-cli/2.31.0 Python/3.13.7 Linux/6.1\n",
    "git": "git version 2.39.5\n",
    "make": "GNU Make 4.3\n",
    "gh": "gh version 2.83.0 (2026-11-04)\n",
    "buildah": "buildah version 1.28.2 (image-spec 1.0.2)\n",
}


class Account:
    """An account on the paid plan with room; its programs and repository are as they should be."""

    def __init__(self):
        self.plan, self.quota = "PAID", 100.0
        self.github, self.versions = dict(GITHUB), dict(VERSIONS)
        self.aws = Inventory("tally")
        ask = self.aws.client
        own = {
            "freetier": SimpleNamespace(get_account_plan_state=self._plan),
            "service-quotas": SimpleNamespace(get_service_quota=self._quota),
        }
        self.aws.client = lambda service: own.get(service) or ask(service)

    def _plan(self):
        if self.plan is None:
            error = {"Code": "ResourceNotFoundException", "Message": "no plan"}
            raise ClientError({"Error": error}, "GetAccountPlanState")
        return {"accountPlanType": self.plan}

    def _quota(self, **_):
        return {"Quota": {"Value": self.quota}}

    def _ask(self, path):
        if path not in self.github:
            raise Unanswered("gh: Not Found (HTTP 404)")
        return self.github[path]

    def _run(self, command):
        if command[0] not in self.versions:
            raise Unanswered(f"{command[0]} is not installed")
        return self.versions[command[0]]

    def look(self, repository="example/tally", profile="production"):
        situation = Situation(self.aws, profile, repository, "production", self._ask, self._run)
        return {it.id: it for it in preflight.look(situation)}


@pytest.fixture
def new(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        yield Account()


def bad(findings):
    return {it.id for it in findings.values() if it.status == Status.BAD}


def test_nothing_stands_in_the_way_of_an_account_that_is_ready(new):
    findings = new.look()
    assert bad(findings) == set()
    # AWS says it only to whoever makes a distribution.
    assert [it.id for it in findings.values() if it.status == Status.OPEN] == ["account-cloudfront"]
    assert all(bool(it.remedy) == (it.status != Status.GOOD) for it in findings.values())


def test_the_free_plan(new):
    new.plan = "FREE"
    assert bad(new.look()) == {"account-plan"}
    new.plan = None
    assert bad(new.look()) == set()


@pytest.mark.parametrize(("quota", "profile", "stands"), [(5, "small", True), (6, "small", False)])
def test_quotas_of_a_new_account(new, quota, profile, stands):
    new.quota = float(quota)
    found = new.look(profile=profile)["account-quotas"]
    assert (found.status == Status.BAD) == stands
    assert f"processors of machines: 6 of {quota}" in found.answer


def make_secret(aws):
    client = aws("secretsmanager")
    client.create_secret(Name="tally/adder", SecretString="x")
    client.delete_secret(SecretId="tally/adder", RecoveryWindowInDays=7)


TAKEN = {
    "secret tally/adder (deleted, and still kept)": make_secret,
    "log group /tally/adder": lambda aws: aws("logs").create_log_group(logGroupName="/tally/adder"),
    "role tally-adder": lambda aws: aws("iam").create_role(
        RoleName="tally-adder", AssumeRolePolicyDocument="{}"
    ),
    "bucket tally-access-logs-123456789012": lambda aws: aws("s3").create_bucket(
        Bucket="tally-access-logs-123456789012"
    ),
}


@pytest.mark.parametrize("taken", TAKEN)
def test_names_that_are_taken(new, taken):
    TAKEN[taken](lambda service: boto3.client(service, region_name="us-east-1"))
    found = new.look()["names"]
    assert (found.status, found.answer) == (Status.BAD, taken)


def test_what_the_bootstrap_made_takes_no_name(new):
    client = boto3.client("iam")
    client.create_role(RoleName="tally-ci-plan", AssumeRolePolicyDocument="{}")
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="tally-state-123456789012")
    assert new.look()["names"].status == Status.GOOD


@pytest.mark.parametrize(
    ("path", "answer", "finding"),
    [
        ("/environments/production", {"protection_rules": []}, "github-reviewers"),
        ("/actions/oidc/customization/sub", {"use_default": False}, "github-subject"),
        ("", {"id": 1, "default_branch": "master"}, "github-branch"),
    ],
)
def test_a_repository_that_is_not_ready(new, path, answer, finding):
    new.github[f"repos/example/tally{path}"] = answer
    assert bad(new.look()) == {finding}


def test_what_github_does_not_say_is_open(new):
    del new.github["repos/example/tally/environments/production"]
    found = new.look()["github-reviewers"]
    assert (found.status, found.answer) == (Status.OPEN, "gh: Not Found (HTTP 404)")
    assert "required reviewers" in found.remedy
    assert new.look(repository=None)["github-branch"].status == Status.OPEN


@pytest.mark.parametrize(
    ("program", "version", "stands"),
    [
        ("terraform", None, True),
        ("terraform", "Terraform v1.9.8\n", True),
        ("aws", "aws-cli/1.29.0 Python/3.11.2\n", True),
        ("gh", None, False),
        ("buildah", None, False),
    ],
)
def test_programs_that_are_missing_or_old(new, program, version, stands):
    new.versions.pop(program)
    if version:
        new.versions[program] = version
    assert ("tools" in bad(new.look())) == stands


def test_programs_are_run_for_real():
    assert preflight.run(("git", "--version")).startswith("git version")
    with pytest.raises(Unanswered, match="no-such-program is not installed"):
        preflight.run(("no-such-program",))
    with pytest.raises(Unanswered, match="git: "):
        preflight.run(("git", "no-such-command"))


def test_an_account_that_does_not_let_one_ask_leaves_it_open(new):
    def refuse(**_):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetServiceQuota")

    new._quota = refuse
    new.aws.client("service-quotas").get_service_quota = refuse
    assert new.look()["account-quotas"].status == Status.OPEN


def test_what_is_needed_is_what_the_profiles_take():
    text = (INFRA / "profile.tf").read_text()
    for profile in ("small", "production"):
        block = text.partition(f"    {profile} = {{")[2].partition("\n    }")[0]
        machines = int(re.search(r"adder_machines += (\d+)", block)[1])
        most = sum(int(it) for it in re.findall(r"_tasks += \{ min = \d+, max = (\d+) \}", block))
        processor = int(re.search(r"task_cpu += (\d+)", block)[1]) / 1024
        # Two processors a machine, twice during a release, and the bastion's two.
        assert account.QUOTAS["processors of machines"][2][profile] == 4 * machines + 2
        assert account.QUOTAS["processors of containers"][2][profile] == most * processor


def test_the_cost_is_that_of_the_document():
    text = (ROOT / "docs/costs.md").read_text()
    [row] = [line for line in text.splitlines() if line.startswith("| **together**")]
    small, production = map(float, re.findall(r"\*\*([\d.]+)\*\*", row))
    assert {"small": small, "production": production} == cost.MONTHLY


def test_the_oldest_terraform_is_the_modules():
    least = re.search(r'required_version = ">= (\d+)\.(\d+)', (INFRA / "versions.tf").read_text())
    assert tools.PROGRAMS["terraform", "version"][0] == (int(least[1]), int(least[2]))


def test_the_command(new, monkeypatch, tmp_path):
    new.plan = "FREE"
    monkeypatch.setattr("tally.aws.inventory.Inventory", lambda name: new.aws)
    monkeypatch.setattr("tally.aws.preflight.ask_github", new._ask)
    monkeypatch.setattr("tally.aws.preflight.run", new._run)
    page = tmp_path / "page.html"
    done = CliRunner().invoke(
        main, ["preflight", "--repository", "example/tally", "--json", "--html", str(page)]
    )
    assert done.exit_code == 1
    data = json.loads(done.stdout)
    assert not data["good"]
    assert {it["id"] for it in data["findings"] if it["status"] == "bad"} == {"account-plan"}
    assert "Upgrade the account under Billing" in page.read_text()
    said = CliRunner().invoke(main, ["preflight", "--repository", "example/tally"]).stdout
    assert "BAD   Is the account on AWS's paid plan? plan FREE [account-plan]" in said
    assert said.rstrip().endswith("to mend first: account-plan; not known: account-cloudfront")


@pytest.mark.parametrize("repository", ["tally", "a/b/c", "https://github.com/a/b", "a/$(b)"])
def test_a_repository_is_owner_and_name(repository):
    done = CliRunner().invoke(main, ["preflight", "--repository", repository])
    assert (done.exit_code, "must be OWNER/NAME" in done.output) == (2, True)


def test_an_account_out_of_reach_is_exit_status_3(monkeypatch):
    class Away:
        @property
        def id(self):
            raise EndpointConnectionError(endpoint_url="https://sts.example")

    monkeypatch.setattr("tally.aws.inventory.Inventory", lambda name: Away())
    done = CliRunner().invoke(main, ["preflight"])
    assert (done.exit_code, "can't reach AWS" in done.output) == (3, True)


def test_a_summary_names_what_to_mend_and_what_is_not_known():
    assert report.summary([]) == "nothing stands in the way"
