"""Who may do what: policies, roles, and continuous integration's way in."""

from collections.abc import Iterable, Iterator
from typing import Final

from tally.aws.iam_policies import covers, denied
from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import Resource, statements
from tally.aws.predicates import empty
from tally.aws.requirement import Concern, Evidence, NotApplicable, Verdict, hold

concern = Concern("Access")
requires = concern.requires

_GITHUB: Final = "token.actions.githubusercontent.com"
_CI: Final = ("build", "plan", "apply", "practise")
# What GitHub's token must say for a role: these claims, exactly.
_CLAIMS: Final = ("repository_id", "ref", "job_workflow_ref")
_MAIN: Final = "refs/heads/main"


def _allowing(found: Iterable[Resource]) -> Iterator[Resource]:
    return (statement for statement in found if statement["Effect"] == "Allow")


def _allowed(found: Iterable[Resource], otherwise: str) -> list[str]:
    """The actions that statements allow; `otherwise` if one allows all but some."""
    lists = [statement.get("Action", [otherwise]) for statement in _allowing(found)]
    return sorted({action for actions in lists for action in actions})


@requires("access-no-administrator", "No policy allows everything", "IAM.1")
def _no_administrator(aws: Inventory) -> Iterator[Evidence]:
    for name, found in aws.iam.own_policies.items():
        everything = any(
            "*" in it.get("Action", []) and "*" in it.get("Resource", []) for it in _allowing(found)
        )
        what = "everything" if everything else "named actions"
        yield Evidence(name, not everything, f"allows {what}")
    for name, role in aws.iam.roles.items():
        if "arn:aws:iam::aws:policy/AdministratorAccess" in role["Policies"]:
            yield Evidence(name, False, "has AdministratorAccess")


@requires("access-no-wildcard", "No policy allows all actions of a service", "IAM.21")
def _no_wildcard(aws: Inventory) -> Iterator[Evidence]:
    for name, found in aws.iam.own_policies.items():
        wide = [action for action in _allowed(found, "NotAction:*") if action.endswith(":*")]
        yield hold(name, "whole services", wide, empty)


@requires("access-no-keys", "Nobody has long-lived keys")
def _no_keys(aws: Inventory) -> Iterator[Evidence]:
    for user in aws.iam.users:
        yield Evidence(user["UserName"], False, "an IAM user: the deployment needs none")
    yield Evidence(f"IAM users {aws.name}-*", True, f"{len(aws.iam.users)}")


def _github(aws: Inventory) -> str:
    for arn, provider in aws.iam.identity_providers.items():
        if provider["Url"].removeprefix("https://") == _GITHUB:
            return arn
    raise NotApplicable("the account has no identity provider for GitHub")


@requires("access-ci", "CI comes in by GitHub's identity, with roles to plan and to apply")
def _ci(aws: Inventory) -> Iterator[Evidence]:
    provider = _github(aws)
    audience = aws.iam.identity_providers[provider]["ClientIDList"]
    yield Evidence(provider, audience == ["sts.amazonaws.com"], f"audience = {', '.join(audience)}")
    for purpose in _CI:
        name = f"{aws.name}-ci-{purpose}"
        role = aws.iam.roles.get(name)
        if role is None:
            yield Evidence(name, False, "there is no such role")
            continue
        trusted = list(_trusted(role, provider, purpose))
        good = bool(trusted) and all(it[0] for it in trusted)
        yield Evidence(name, good, f"may be taken by {'; '.join(it[1] for it in trusted)}")


def _trusted(role: Resource, provider: str, purpose: str) -> Iterator[Verdict]:
    """Of each statement of a role's trust: whether it admits only what may have the role.

    One repository by its number, whatever its name, and there one workflow of `main`; for an apply
    the protected environment as well. Whoever can push another branch could run anything there.
    """
    for statement in statements(role["AssumeRolePolicyDocument"]):
        asked = statement.get("Condition", {}).get("StringEquals", {})
        claims = {
            name: value[0] if isinstance(value, list) and len(value) == 1 else value
            for name, value in asked.items()
        }
        wanted = {name: claims.get(f"{_GITHUB}:{name}") for name in _CLAIMS}
        environment = claims.get(f"{_GITHUB}:environment")
        good = (
            statement.get("Principal", {}).get("Federated") == provider
            and all(isinstance(value, str) for value in wanted.values())
            and wanted["ref"] == _MAIN
            and str(wanted["job_workflow_ref"]).endswith(f"@{_MAIN}")
            and (purpose != "apply" or isinstance(environment, str))
        )
        where = ", ".join(f"{name} {value}" for name, value in wanted.items() if value)
        yield good, f"{where or 'anybody'}{f' in {environment}' if environment else ''}"


# What changes something begins so in AWS's names for actions.
_READS: Final = ("Get", "List", "Describe", "BatchGet", "BatchCheck", "Lookup", "Search")
# Reading by other names: a budget, and what is encrypted.
_ALSO_READ: Final = {"budgets:ViewBudget", "kms:Decrypt"}


@requires("access-ci-plan", "The role to plan can only read")
def _ci_plan(aws: Inventory) -> Iterator[Evidence]:
    _github(aws)
    name = f"{aws.name}-ci-plan"
    role = aws.iam.roles.get(name, {"Policies": {}})
    for policy, found in role["Policies"].items():
        beyond = [it for it in _allowed(found, "NotAction") if not _reads(it)]
        yield hold(f"{name} / {policy}", "more than reading", beyond, empty)


def _reads(action: str) -> bool:
    return action.partition(":")[2].startswith(_READS) or action in _ALSO_READ


# With these a role gets permissions, which is good for one that has the boundary.
_GIVE: Final = {
    *("iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRolePermissionsBoundary"),
    "iam:PutRolePolicy",
}
# With these no role gets permissions.
_DO_NOT_GIVE: Final = {
    *("iam:CreateInstanceProfile", "iam:DeleteInstanceProfile", "iam:TagInstanceProfile"),
    *("iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile", "iam:PassRole"),
    *("iam:DeleteRole", "iam:DeleteRolePolicy", "iam:TagRole", "iam:UpdateAssumeRolePolicy"),
    *("iam:UntagInstanceProfile", "iam:UntagRole", "iam:UpdateRole", "iam:UpdateRoleDescription"),
}


@requires(
    "access-boundary",
    "Roles can't exceed the permissions boundary, and who applies can't make others",
)
def _boundary(aws: Inventory) -> Iterator[Evidence]:
    boundary = f"arn:aws:iam::{aws.id}:policy/{aws.name}-boundary"
    ci = {purpose: f"{aws.name}-ci-{purpose}" for purpose in _CI}
    for name in aws.iam.roles:
        if name not in ci.values():
            yield hold(name, "boundary", aws.iam.boundary(name), boundary)
    if boundary in aws.iam.own_policies:
        allowed = _on_identities(_allowing(aws.iam.own_policies[boundary]))
        yield hold(boundary, "allows on identities", sorted(allowed), empty)
    else:
        yield Evidence(boundary, False, "there is no such policy")
    if ci["apply"] not in aws.iam.roles:
        return
    policies = aws.iam.roles[ci["apply"]]["Policies"]
    for policy, found in policies.items():
        beyond = {it for each in _allowing(found) for it in _beyond(each, aws, boundary)}
        yield hold(f"{ci['apply']} / {policy}", "beyond the boundary", sorted(beyond), empty)
    every = [statement for found in policies.values() for statement in found]
    for name in ci.values():
        arn = f"arn:aws:iam::{aws.id}:role/{name}"
        kept = denied(every, "iam:UpdateAssumeRolePolicy", arn)
        yield Evidence(name, kept, f"{ci['apply']} is {'' if kept else 'not '}denied changing it")


def _beyond(statement: Resource, aws: Inventory, boundary: str) -> set[str]:
    """What a statement allows that could give somebody permissions past the boundary."""
    allowed = _on_identities([statement])
    asked = statement.get("Condition", {}).get("StringEquals", {}).get("iam:PermissionsBoundary")
    bounded = asked in (boundary, [boundary])
    own = all(
        any(
            covers(f"arn:aws:iam::{aws.id}:{kind}/{aws.name}-*", resource)
            for kind in ("role", "instance-profile")
        )
        for resource in statement.get("Resource", ["NotResource"])
    )
    good = (_GIVE if bounded else _DO_NOT_GIVE) if own else set()
    # A service's own role has the permissions that AWS gives it.
    return allowed - good - {"iam:CreateServiceLinkedRole"}


def _on_identities(found: Iterable[Resource]) -> set[str]:
    """The actions of IAM and STS that statements speak of, but for those that read."""
    return {
        action
        for statement in found
        for action in statement.get("Action", ["*"])  # all but some, if none are named
        if any(covers(action.lower().partition(":")[0], service) for service in ("iam", "sts"))
        and not action.startswith(("iam:Get", "iam:List"))
    }
