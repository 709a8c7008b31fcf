"""The web application firewall."""

from collections.abc import Iterator

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import NotFound, Resource
from tally.aws.requirement import Concern, Evidence, present

concern = Concern("Firewall")

# AWS's rules against known-bad requests, and against the usual attacks on web applications.
_MANAGED = {"AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"}
# Requests of one address in five minutes. Below, people who share an address are refused; above,
# one address could use what a service can serve.
_RATE = range(100, 20_001)


def _firewall(aws: Inventory) -> Resource:
    if aws.wafv2.web_acl is None:
        raise NotFound("firewall that the public passes")
    return aws.wafv2.web_acl


@concern.requires("firewall", "The public passes a web application firewall", "ELB.16")
def _stands(aws: Inventory) -> Iterator[Evidence]:
    acl = _firewall(aws)
    where = "CloudFront" if aws.cloudfront.distribution is not None else "the load balancer"
    yield Evidence(acl["ARN"], True, f"stands before {where}")


@concern.requires("firewall-managed-rules", "AWS's managed rules block what they find")
def _managed(aws: Inventory) -> Iterator[Evidence]:
    acl = _firewall(aws)
    blocking = {
        group["Name"]
        for rule in acl["Rules"]
        if (group := rule["Statement"].get("ManagedRuleGroupStatement"))
        and "None" in rule.get("OverrideAction", {})
    }
    yield present(acl["Name"], _MANAGED - blocking, f"blocking = {', '.join(sorted(blocking))}")


@concern.requires("firewall-rate", "One address may send only so many requests")
def _rate(aws: Inventory) -> Iterator[Evidence]:
    for rule in _firewall(aws)["Rules"]:
        limit = rule["Statement"].get("RateBasedStatement")
        if limit is not None:
            window = limit.get("EvaluationWindowSec", 300)
            good = (
                limit["AggregateKeyType"] == "IP"
                and limit["Limit"] in _RATE
                and "Block" in rule.get("Action", {})
            )
            seen = f"{limit['Limit']} requests in {window} s by {limit['AggregateKeyType']}"
            yield Evidence(rule["Name"], good, seen)
