"""What an account, and a repository on GitHub, need once before anything is deployed.

Each step may be done again: what is there already stays.
"""

import json
import os
import subprocess
import urllib.error
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import boto3
import click
from botocore.exceptions import ClientError

from deploy.ci.approval import require_reviewers
from deploy.ci.deployment import Deployment
from deploy.ci.github import call
from deploy.ci.refused import Refused

_BOOTSTRAP: Final = Path("infra/bootstrap")
_VARIABLES: Final = Path("infra/terraform.tfvars")
_STATE: Final = _BOOTSTRAP / "terraform.tfstate"
_STATE_COPY: Final = "bootstrap.tfstate"
_GIVEN: Final = _BOOTSTRAP / "given.auto.tfvars.json"
# AWS makes each on first use of its service, which can be too late for that use.
_SERVICES: Final = ("autoscaling", "ecs", "elasticloadbalancing", "rds")
_TAG: Final = "Deployment"
_GITHUB: Final = "token.actions.githubusercontent.com"
_NOT_FOUND: Final = 404


@click.command()
@click.option("--name", default="tally", help="The prefix of every name.")
@click.option("--repository", metavar="OWNER/NAME", help="On GitHub; without, you apply by hand.")
@click.option(
    "--environment", default="production", help="GitHub's, and the only one that applies."
)
@click.option("--reviewer", "reviewers", multiple=True, help="A login that may approve an apply.")
@click.option("--unreviewed", is_flag=True, help="Nobody has to approve an apply.")
def prepare(
    name: str,
    repository: str | None,
    environment: str,
    reviewers: tuple[str, ...],
    *,
    unreviewed: bool,
) -> None:
    """Prepare an account, and a repository on GitHub, for a deployment.

    Reads `infra/terraform.tfvars`; Terraform shows what it makes, and asks first.
    """
    if not _VARIABLES.exists():
        raise Refused(f"There is no {_VARIABLES}: copy {_VARIABLES}.example, and edit it.")
    number = None if repository is None else _open(repository)
    _terraform("init", "-input=false")
    deployment = _described(name, environment, unreviewed=unreviewed)
    if number is not None:
        protect(environment, reviewers)
        require_reviewers(deployment)
    make_linked_roles()
    bootstrap(name, repository, number, environment)
    count_costs()
    if number is not None:
        publish(deployment)


def make_linked_roles() -> None:
    """Make the roles that AWS's services have in the account."""
    iam = boto3.client("iam")
    for service in _SERVICES:
        host = f"{service}.amazonaws.com"
        if not iam.list_roles(PathPrefix=f"/aws-service-role/{host}/")["Roles"]:
            iam.create_service_linked_role(AWSServiceName=host)
    print(f"Service-linked roles: {', '.join(_SERVICES)}.")


def bootstrap(name: str, repository: str | None, number: int | None, environment: str) -> None:
    """Apply infra/bootstrap with these variables, and keep a copy of its state in its bucket."""
    _fetch_state(name)
    given: dict[str, Any] = {"name": name}
    if repository is not None:
        given |= {"github_repository": repository, "github_repository_id": str(number)}
        given |= {"github_environment": environment}
        # An account can have only one.
        known = boto3.client("iam").list_open_id_connect_providers()["OpenIDConnectProviderList"]
        made = _terraform("state", "list", said=True) if _STATE.exists() else ""
        ours = "aws_iam_openid_connect_provider.github[0]" in made
        for provider in known if not ours else ():
            if provider["Arn"].endswith(f"/{_GITHUB}"):
                given["github_provider_arn"] = provider["Arn"]
    # Later commands in this folder read it too.
    _GIVEN.write_text(json.dumps(given, indent=2) + "\n")
    _terraform("apply")
    bucket = _terraform("output", "-raw", "state_bucket", said=True)
    boto3.client("s3").upload_file(str(_STATE), bucket, _STATE_COPY)
    print(f"The bootstrap stands; a copy of its state is in {bucket}.")


def _fetch_state(name: str) -> None:
    """Go on from the copy of the state, where another machine has applied the bootstrap."""
    if _STATE.exists():
        return
    account = boto3.client("sts").get_caller_identity()["Account"]
    try:
        boto3.client("s3").download_file(f"{name}-state-{account}", _STATE_COPY, str(_STATE))
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise


def count_costs() -> None:
    """Let the tag count costs, or say when it can: the budget counts by it."""
    answer = boto3.client("ce", region_name="us-east-1").update_cost_allocation_tags_status(
        CostAllocationTagsStatus=[{"TagKey": _TAG, "Status": "Active"}]
    )
    if answer.get("Errors"):
        # AWS: Cost Management's guide, "Activating user-defined cost allocation tags".
        print(
            f"AWS does not know the tag {_TAG} yet: it may take a day after the first apply. Run"
            " this again then, or the budget counts nothing."
        )
    else:
        print(f"The tag {_TAG} counts costs.")


def protect(environment: str, reviewers: tuple[str, ...]) -> None:
    """Make the environment: for `main` only, and with these reviewers, or those that it has."""
    here = f"environments/{quote(environment, safe='')}"
    rules = {"protected_branches": False, "custom_branch_policies": True}
    if reviewers:
        who = [{"type": "User", "id": call("GET", f"/users/{it}")["id"]} for it in reviewers]
        call("PUT", here, {"reviewers": who, "deployment_branch_policy": rules})
    elif _find(here) is None:
        call("PUT", here, {"deployment_branch_policy": rules})
    policies = _find(f"{here}/deployment-branch-policies") or {"branch_policies": []}
    if "main" not in {policy["name"] for policy in policies["branch_policies"]}:
        call("POST", f"{here}/deployment-branch-policies", {"name": "main"})
    print(f"The environment {environment} applies what is on main.")


def publish(deployment: Deployment) -> None:
    """Tell the workflows of the deployment, beside others that they know."""
    known = _find("actions/variables/DEPLOYMENTS")
    others = json.loads(known["value"]) if known else {}
    value = json.dumps({**others, deployment.environment: deployment.for_json()}, indent=2)
    variable = {"name": "DEPLOYMENTS", "value": value}
    if known is None:
        call("POST", "actions/variables", variable)
    else:
        call("PATCH", "actions/variables/DEPLOYMENTS", variable)
    print(f"DEPLOYMENTS describes {deployment.environment} as {_VARIABLES} does.")


def _open(repository: str) -> int:
    """Say to whom the calls to GitHub go, and as whom; give the repository's number."""
    os.environ.setdefault("GITHUB_API_URL", "https://api.github.com")
    os.environ["GITHUB_REPOSITORY"] = repository
    if "GITHUB_TOKEN" not in os.environ:
        try:
            asked = ["gh", "auth", "token"]
            found = subprocess.run(asked, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Refused("No token for GitHub: run gh auth login, or set GITHUB_TOKEN.") from error
        os.environ["GITHUB_TOKEN"] = found.stdout.strip()
    found = _find(f"/repos/{repository}")
    if found is None:
        raise Refused(f"GitHub shows no repository {repository} to this token.")
    return int(found["id"])


def _find(path: str) -> Any:
    """Ask GitHub; None where there is no such thing."""
    try:
        return call("GET", path)
    except urllib.error.HTTPError as error:
        if error.code != _NOT_FOUND:
            raise
        return None


def _described(name: str, environment: str, *, unreviewed: bool) -> Deployment:
    """Read the deployment from the file of its variables, as Terraform reads it."""
    found = f'provider::terraform::decode_tfvars(file("../{_VARIABLES.name}"))'
    variables = _evaluate(found)
    path = Path(variables.pop("ssh_public_key_path", "~/.ssh/id_rsa.pub")).expanduser()
    key = path.read_text().strip() if variables.get("allowed_bastion_ips") else None
    fields = {
        "account": boto3.client("sts").get_caller_identity()["Account"],
        "variables": {"name": name, **variables},
        "ssh_public_key": key,
        "unreviewed": unreviewed,
    }
    return Deployment.from_json(json.dumps({environment: fields}), environment)


def _evaluate(expression: str) -> Any:
    said = _terraform("console", said=True, input=f"jsonencode({expression})\n")
    # The console writes a string as Terraform would.
    return json.loads(json.loads(said.replace("$${", "${").replace("%%{", "%{")))


def _terraform(*arguments: str, said: bool = False, input: str | None = None) -> str:  # noqa: A002
    done = subprocess.run(
        ["terraform", f"-chdir={_BOOTSTRAP}", *arguments],
        stdout=subprocess.PIPE if said else None,
        input=input,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Refused(f"terraform {arguments[0]} failed; see its output above.")
    return done.stdout or ""
