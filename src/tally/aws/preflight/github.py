"""The repository on GitHub: who approves, and what its workflows say of themselves to AWS."""

from typing import Any, cast

from tally.aws.preflight.finding import Situation, Subject, Unanswered

subject = Subject()


def _ask(situation: Situation, path: str) -> dict[str, Any]:
    if situation.repository is None:
        raise Unanswered("no repository was named (--repository OWNER/NAME)")
    return cast("dict[str, Any]", situation.github(f"repos/{situation.repository}{path}"))


@subject.asks(
    "github-reviewers",
    "Must somebody approve an apply?",
    "Give the environment required reviewers, under Settings, Environments. A private repository"
    ' has them only with GitHub Enterprise; without, set "unreviewed": true in DEPLOYMENTS, which'
    " lets whoever may push to main change the deployment.",
)
def _reviewers(situation: Situation) -> tuple[bool, str]:
    rules = _ask(situation, f"/environments/{situation.environment}")["protection_rules"]
    names = [
        reviewer["reviewer"].get("login") or reviewer["reviewer"].get("slug", "somebody")
        for rule in rules
        if rule["type"] == "required_reviewers"
        for reviewer in rule["reviewers"]
    ]
    return bool(names), f"by {', '.join(names)}" if names else "by nobody"


@subject.asks(
    "github-subject",
    "Do its workflows call themselves what the roles trust?",
    "Use GitHub's default subject: gh api --method PUT"
    " repos/OWNER/NAME/actions/oidc/customization/sub -F use_default=true",
)
def _subject(situation: Situation) -> tuple[bool, str]:
    default = bool(_ask(situation, "/actions/oidc/customization/sub")["use_default"])
    number = _ask(situation, "")["id"]
    return default, f"repository {number}, {'the default' if default else 'a customized'} subject"


@subject.asks(
    "github-branch",
    "Is main the branch that is deployed?",
    "Make main the default branch: the roles trust no other.",
)
def _branch(situation: Situation) -> tuple[bool, str]:
    branch = _ask(situation, "")["default_branch"]
    return branch == "main", f"the default branch is {branch}"
