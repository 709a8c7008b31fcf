"""Whether GitHub asks somebody before an apply, as it says itself."""

import urllib.error
from urllib.parse import quote

from deploy.ci.deployment import Deployment
from deploy.ci.github import call
from deploy.ci.refused import Refused


def require_reviewers(deployment: Deployment) -> None:
    """Raise Refused unless the environment has required reviewers, or the deployment needs none.

    Where GitHub offers no required reviewers, in private repositories below Enterprise, it ignores
    the environment's other rules silently, and the apply would follow the plan at once (GitHub's
    documentation, "Managing environments for deployment").
    """
    if deployment.unreviewed:
        return
    name = deployment.environment
    try:
        rules = call("GET", f"environments/{quote(name, safe='')}")["protection_rules"]
    except urllib.error.HTTPError as error:
        raise Refused(
            f"GitHub does not say who must approve an apply to {name} ({error.code}"
            f" {error.reason}): make the environment, with required reviewers."
        ) from error
    if not any(it["type"] == "required_reviewers" and it["reviewers"] for it in rules):
        raise Refused(
            f"Nobody must approve an apply to {name}: give the environment required reviewers."
            ' If this repository\'s plan has none to give, set "unreviewed": true in DEPLOYMENTS;'
            " whoever may push to main may then change the deployment."
        )
