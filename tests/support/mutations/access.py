"""What breaks IAM."""

import json
from typing import Any

from tests.support.mutations.cloud import Cloud
from tests.support.mutations.declaration import breaks

breaks(
    "access-no-administrator", allow_everything=lambda cloud: cloud.allow("display-task", "*", "*")
)

breaks(
    "access-no-wildcard",
    allow_a_whole_service=lambda cloud: cloud.allow(
        "display-task", "s3:*", f"arn:aws:s3:::{cloud.name}-other/*"
    ),
)

breaks(
    "access-no-keys",
    make_a_user=lambda cloud: cloud.iam.create_user(UserName=f"{cloud.name}-robot"),
)


def _trust(cloud: Cloud, purpose: str, **claims: str | None) -> None:
    """Ask for other claims of GitHub's token, or for none, before a role is given."""
    role = cloud.iam.get_role(RoleName=f"{cloud.name}-ci-{purpose}")["Role"]
    trust = role["AssumeRolePolicyDocument"]
    asked = trust["Statement"][0]["Condition"]["StringEquals"]
    for claim, value in claims.items():
        name = f"token.actions.githubusercontent.com:{claim}"
        asked[name] = value
        if value is None:
            del asked[name]
    cloud.iam.update_assume_role_policy(RoleName=role["RoleName"], PolicyDocument=json.dumps(trust))


_WORKFLOW = "example/tally/.github/workflows/terraform-plan-apply.yml"
breaks(
    "access-ci",
    let_any_environment_apply=lambda cloud: _trust(cloud, "apply", environment=None),
    let_any_repository_plan=lambda cloud: _trust(cloud, "plan", repository_id=None),
    let_any_workflow_build=lambda cloud: _trust(cloud, "build", job_workflow_ref=None),
    let_a_branchs_workflow_plan=lambda cloud: _trust(
        cloud, "plan", job_workflow_ref=f"{_WORKFLOW}@refs/heads/other"
    ),
    let_a_pull_request_plan=lambda cloud: _trust(cloud, "plan", ref="refs/pull/1/merge"),
)

breaks(
    "access-ci-plan",
    let_a_plan_start_machines=lambda cloud: cloud.allow(
        "ci-plan", "ec2:RunInstances", "arn:aws:ec2:us-east-1:123456789012:instance/*"
    ),
)

breaks(
    "access-boundary",
    free_a_role_of_its_boundary=lambda cloud: cloud.iam.delete_role_permissions_boundary(
        RoleName=f"{cloud.name}-adder"
    ),
)


@breaks("access-boundary", profile="small")
def bound_a_role_by_another_policy(cloud: Cloud) -> None:
    account = cloud.sts.get_caller_identity()["Account"]
    cloud.iam.put_role_permissions_boundary(
        RoleName=f"{cloud.name}-display-task",
        PermissionsBoundary=f"arn:aws:iam::{account}:policy/{cloud.name}-ci-change-compute",
    )


@breaks("access-boundary")
def let_the_boundary_make_roles(cloud: Cloud) -> None:
    def change(statements: list[dict[str, Any]]) -> None:
        statements.append({"Effect": "Allow", "Action": "iam:CreateRole", "Resource": "*"})

    cloud.change_policy("boundary", change)


@breaks("access-boundary")
def let_an_apply_make_any_role(cloud: Cloud) -> None:
    def change(statements: list[dict[str, Any]]) -> None:
        for statement in statements:
            statement.get("Condition", {}).get("StringEquals", {}).pop(
                "iam:PermissionsBoundary", None
            )

    cloud.change_policy("ci-change-identity", change)


@breaks("access-boundary")
def let_an_apply_hand_over_any_role(cloud: Cloud) -> None:
    def change(statements: list[dict[str, Any]]) -> None:
        for statement in statements:
            if statement["Action"] == "iam:PassRole":
                statement["Resource"] = "*"

    cloud.change_policy("ci-change-identity", change)


breaks(
    "access-boundary",
    let_an_apply_make_users=lambda cloud: cloud.allow("ci-apply", "iam:CreateUser", "*"),
)


@breaks("access-boundary")
def let_an_apply_change_who_plans(cloud: Cloud) -> None:
    def change(statements: list[dict[str, Any]]) -> None:
        statements[:] = [it for it in statements if it.get("Sid") != "OwnRoles"]

    cloud.change_policy("ci-change-identity", change)
