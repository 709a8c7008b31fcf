"""Names that the deployment will want, and what already has them."""

from collections.abc import Iterator

from botocore.exceptions import ClientError

from tally.aws.preflight.finding import Situation, Subject

subject = Subject()


@subject.asks(
    "names",
    "Are the deployment's names free?",
    "Delete what is named, or choose another name. A deleted secret keeps its name for the days of"
    " its recovery window: aws secretsmanager delete-secret --force-delete-without-recovery.",
)
def _names(situation: Situation) -> tuple[bool, str]:
    stands = situation.aws.ec2.vpcs
    if stands:
        return True, f"the deployment stands already, in {stands[0]['VpcId']}"
    taken = list(_taken(situation))
    return not taken, ", ".join(taken) or "nothing has them"


def _taken(situation: Situation) -> Iterator[str]:
    aws, name = situation.aws, situation.aws.name
    for kind, service, operation, path, key in (
        ("load balancer", "elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerName"),
        ("database", "rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier"),
        ("key alias", "kms", "list_aliases", "Aliases", "AliasName"),
        ("cluster", "ecs", "list_clusters", "clusterArns[].{Name: @}", "Name"),
        ("log group", "logs", "describe_log_groups", "logGroups", "logGroupName"),
        ("role", "iam", "list_roles", "Roles", "RoleName"),
    ):
        for found in getattr(aws, service).all(operation, path):
            short = str(found[key]).removeprefix("alias/").rpartition("cluster/")[2]
            # What bootstrap makes is there before the first apply.
            if short.startswith((f"{name}-", f"/{name}/")) and not short.startswith(
                (f"{name}-ci-", f"{name}-plans")
            ):
                yield f"{kind} {found[key]}"
    listed = aws.secretsmanager.all("list_secrets", "SecretList", IncludePlannedDeletion=True)
    for secret in listed:
        if secret["Name"].startswith(f"{name}/"):
            deleted = " (deleted, and still kept)" if "DeletedDate" in secret else ""
            yield f"secret {secret['Name']}{deleted}"
    for holds in ("state", "releases", "access-logs", "denied-traffic"):
        bucket = f"{name}-{holds}-{aws.id}"
        try:
            aws.client("s3").head_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] != "404":
                yield f"bucket {bucket} (another account's)"
        else:
            if holds not in ("state", "releases"):
                yield f"bucket {bucket}"
