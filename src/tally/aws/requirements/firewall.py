"""The web application firewall."""

from collections.abc import Iterator

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import NotFound, Resource
from tally.aws.predicates import includes
from tally.aws.requirement import Concern, Evidence, Verdict, named

concern = Concern("Firewall")
requires = concern.requires

# AWS's rules against known-bad requests, and against the usual attacks on web applications.
_MANAGED = {"AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"}
# Requests of one address in five minutes. Below, people who share an address are refused; above,
# one address could use what a service can serve.
_RATE = range(100, 20_001)


def _firewall(aws: Inventory) -> Resource:
    if aws.wafv2.web_acl is None:
        raise NotFound("firewall that the public passes")
    return aws.wafv2.web_acl


def _limits(aws: Inventory) -> list[Resource]:
    return [it for it in _firewall(aws)["Rules"] if it["Statement"].get("RateBasedStatement")]


@requires("firewall", "The public passes a web application firewall", "ELB.16")
def _stands(aws: Inventory) -> Iterator[Evidence]:
    yield Evidence(_firewall(aws)["ARN"], True, "stands before CloudFront")


requires("firewall-managed-rules", "AWS's managed rules block what they find").field(
    named("Name", lambda aws: [_firewall(aws)]),
    "Rules[?OverrideAction.None != `null`].Statement.ManagedRuleGroupStatement.Name",
    includes(_MANAGED),
    "blocking",
)


@requires("firewall-rate", "One address may send only so many requests").each(
    named("Name", _limits)
)
def _rate(_: Inventory, rule: Resource) -> Verdict:
    limit = rule["Statement"]["RateBasedStatement"]
    by, number = limit["AggregateKeyType"], limit["Limit"]
    good = by == "IP" and number in _RATE and "Block" in rule.get("Action", {})
    return good, f"{number} requests in {limit.get('EvaluationWindowSec', 300)} s by {by}"
