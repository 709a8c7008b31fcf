"""The account: its plan, its quotas, and whether it may use CloudFront."""

from typing import Final

from botocore.exceptions import ClientError

from tally.aws.preflight.finding import Situation, Subject, Unanswered

subject = Subject()

# Of new accounts AWS lowers these: quota's service, its code, and what each profile needs of it. A
# release runs the new machines beside the old ones.
QUOTAS: Final = {
    "processors of machines": ("ec2", "L-1216C47A", {"small": 6.0, "production": 10.0}),
    "processors of containers": ("fargate", "L-3032A538", {"small": 0.75, "production": 6.5}),
    "networks in the region": ("vpc", "L-F678F1CE", {"small": 1.0, "production": 1.0}),
}


@subject.asks(
    "account-plan",
    "Is the account on AWS's paid plan?",
    "Upgrade the account under Billing: the free plan refuses backups of more than a day, and some"
    " machine types.",
)
def _plan(situation: Situation) -> tuple[bool, str]:
    try:
        plan = situation.aws.client("freetier").get_account_plan_state()["accountPlanType"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return True, "it is older than AWS's plans"
        raise
    return plan == "PAID", f"plan {plan}"


@subject.asks(
    "account-quotas",
    "Do the account's quotas leave room for the profile?",
    "Ask for more under Service Quotas, in us-east-1; it takes hours to days.",
)
def _quotas(situation: Situation) -> tuple[bool, str]:
    used = {"networks in the region": len(situation.aws.ec2.all("describe_vpcs", "Vpcs"))}
    said, good = [], True
    for what, (service, code, needed) in QUOTAS.items():
        answer = situation.aws.client("service-quotas").get_service_quota(
            ServiceCode=service, QuotaCode=code
        )
        quota, need = answer["Quota"]["Value"], needed[situation.profile] + used.get(what, 0)
        good = good and need <= quota
        said.append(f"{what}: {need:g} of {quota:g}")
    return good, ", ".join(said)


@subject.asks(
    "account-cloudfront",
    "May the account use CloudFront?",
    "AWS support verifies some new accounts before CloudFront makes anything: if yours is new, ask"
    " for it now, in a case under Account and billing.",
)
def _cloudfront(situation: Situation) -> tuple[bool, str]:
    found = situation.aws.cloudfront.all("list_distributions", "DistributionList.Items")
    if not found:
        raise Unanswered("no distribution stands, and AWS says it only to who makes one")
    return True, f"{len(found)} distributions stand"
