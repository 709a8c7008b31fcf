"""The web application firewall."""

from collections.abc import Iterator

from tally.aws.account import Account, NotFound, Thing
from tally.aws.requirement import Concern, Seen, present

concern = Concern("Firewall")

# AWS's rules against known-bad requests, and against the usual attacks on web applications.
_MANAGED = {"AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"}
# Requests of one address in five minutes. Below, people who share an address are refused; above,
# one address could use what a service can serve.
_RATE = range(100, 20_001)


def _firewall(account: Account) -> Thing:
    if account.firewall is None:
        raise NotFound("firewall that the public passes")
    return account.firewall


@concern.requires("firewall", "The public passes a web application firewall", "ELB.16")
def _stands(account: Account) -> Iterator[Seen]:
    acl = _firewall(account)
    where = "CloudFront" if account.distribution is not None else "the load balancer"
    yield Seen(acl["ARN"], True, f"stands before {where}")


@concern.requires("firewall-managed-rules", "AWS's managed rules block what they find")
def _managed(account: Account) -> Iterator[Seen]:
    acl = _firewall(account)
    blocking = {
        group["Name"]
        for rule in acl["Rules"]
        if (group := rule["Statement"].get("ManagedRuleGroupStatement"))
        and "None" in rule.get("OverrideAction", {})
    }
    yield present(acl["Name"], _MANAGED - blocking, f"blocking = {', '.join(sorted(blocking))}")


@concern.requires("firewall-rate", "One address may send only so many requests")
def _rate(account: Account) -> Iterator[Seen]:
    for rule in _firewall(account)["Rules"]:
        limit = rule["Statement"].get("RateBasedStatement")
        if limit is not None:
            window = limit.get("EvaluationWindowSec", 300)
            good = (
                limit["AggregateKeyType"] == "IP"
                and limit["Limit"] in _RATE
                and "Block" in rule.get("Action", {})
            )
            seen = f"{limit['Limit']} requests in {window} s by {limit['AggregateKeyType']}"
            yield Seen(rule["Name"], good, seen)
