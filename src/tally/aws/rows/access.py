"""Who may do what: policies, roles, and continuous integration's way in."""

from collections.abc import Iterator
from typing import Final

from tally.aws.account import Account, Thing, statements
from tally.aws.requirement import Concern, NotApplicable, Seen

concern = Concern("Access")

_GITHUB: Final = "token.actions.githubusercontent.com"


def _allowing(found: list[Thing]) -> Iterator[Thing]:
    return (statement for statement in found if statement["Effect"] == "Allow")


@concern.requires("access-no-administrator", "No policy allows everything", "IAM.1")
def _no_administrator(account: Account) -> Iterator[Seen]:
    for name, found in account.own_policies.items():
        everything = any(
            "*" in statement.get("Action", []) and "*" in statement.get("Resource", [])
            for statement in _allowing(found)
        )
        yield Seen(
            name, not everything, f"allows {'everything' if everything else 'named actions'}"
        )
    for name, role in account.roles.items():
        if "arn:aws:iam::aws:policy/AdministratorAccess" in role["Policies"]:
            yield Seen(name, False, "has AdministratorAccess")


@concern.requires("access-no-wildcard", "No policy allows all actions of a service", "IAM.21")
def _no_wildcard(account: Account) -> Iterator[Seen]:
    for name, found in account.own_policies.items():
        wide = sorted(
            action
            for statement in _allowing(found)
            for action in statement.get("Action", ["NotAction:*"])
            if action.endswith(":*")
        )
        yield Seen(name, not wide, f"whole services: {', '.join(wide) or 'none'}")


@concern.requires("access-no-keys", "Nobody has long-lived keys")
def _no_keys(account: Account) -> Iterator[Seen]:
    for user in account.users:
        yield Seen(user["UserName"], False, "an IAM user: the deployment needs none")
    yield Seen(f"IAM users {account.name}-*", True, f"{len(account.users)}")


def _github(account: Account) -> str:
    for arn, provider in account.identity_providers.items():
        if provider["Url"].removeprefix("https://") == _GITHUB:
            return arn
    raise NotApplicable("the account has no identity provider for GitHub")


@concern.requires("access-ci", "CI comes in by GitHub's identity, with roles to plan and to apply")
def _ci(account: Account) -> Iterator[Seen]:
    provider = _github(account)
    audience = account.identity_providers[provider]["ClientIDList"]
    yield Seen(provider, audience == ["sts.amazonaws.com"], f"audience = {', '.join(audience)}")
    for purpose in ("build", "plan", "apply"):
        name = f"{account.name}-ci-{purpose}"
        role = account.roles.get(name)
        if role is None:
            yield Seen(name, False, "there is no such role")
            continue
        subjects = [it for trust in _trusts(role, provider) for it in trust]
        good = bool(subjects) and all(_trusted(subject, purpose) for subject in subjects)
        yield Seen(name, good, f"may be taken by {', '.join(subjects) or 'nobody by name'}")


def _trusted(subject: str, purpose: str) -> bool:
    """Whether a job of this subject, `repo:OWNER/NAME:WHERE`, may have a role for a purpose.

    No pull request and no branch but main: whoever can push one could run anything as the role.
    """
    repository, _, where = subject.removeprefix("repo:").partition(":")
    protected = where.startswith("environment:")
    reviewed = where == "ref:refs/heads/main" and purpose != "apply"
    exact = subject.startswith("repo:") and bool(repository) and "*" not in subject
    return exact and (protected or reviewed)


def _trusts(role: Thing, provider: str) -> Iterator[list[str]]:
    """The subjects that each statement of a role's trust asks for."""
    for statement in statements(role["AssumeRolePolicyDocument"]):
        asked = statement.get("Condition", {}).get("StringEquals", {})
        subjects = asked.get(f"{_GITHUB}:sub", [])
        known = statement.get("Principal", {}).get("Federated") == provider
        named = [subjects] if isinstance(subjects, str) else list(subjects)
        yield named if known and f"{_GITHUB}:aud" in asked else ["*"]


# What changes something begins so in AWS's names for actions.
_READS: Final = ("Get", "List", "Describe", "BatchGet", "BatchCheck", "Lookup", "Search")
# Reading by other names: a budget, and what is encrypted.
_ALSO_READ: Final = {"budgets:ViewBudget", "kms:Decrypt"}


@concern.requires("access-ci-plan", "The role to plan can only read")
def _ci_plan(account: Account) -> Iterator[Seen]:
    _github(account)
    name = f"{account.name}-ci-plan"
    role = account.roles.get(name, {"Policies": {}})
    for policy, found in role["Policies"].items():
        writes = sorted(
            {
                action
                for statement in _allowing(found)
                for action in statement.get("Action", ["NotAction"])
                if not action.partition(":")[2].startswith(_READS) and action not in _ALSO_READ
            }
        )
        yield Seen(
            f"{name} / {policy}", not writes, f"more than reading: {', '.join(writes) or 'none'}"
        )
