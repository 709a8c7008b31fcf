"""What stands in the AWS account, a module a service; each kind is asked for once, when needed.

Everything is found by the tag `Deployment` and by names that begin with the deployment's, never
from Terraform's state: the check must also see what Terraform did not make.
"""

import http.client
import os
import ssl
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import boto3
import jmespath
from botocore.config import Config

from tally.aws.inventory.acm import ACM
from tally.aws.inventory.application_autoscaling import ApplicationAutoScaling
from tally.aws.inventory.autoscaling import AutoScaling
from tally.aws.inventory.budgets import Budgets
from tally.aws.inventory.cloudfront import CloudFront
from tally.aws.inventory.cloudwatch import CloudWatch
from tally.aws.inventory.ec2 import EC2
from tally.aws.inventory.ecr import ECR
from tally.aws.inventory.ecs import ECS
from tally.aws.inventory.elbv2 import ELBv2
from tally.aws.inventory.iam import IAM
from tally.aws.inventory.kms import KMS
from tally.aws.inventory.logs import Logs
from tally.aws.inventory.rds import RDS
from tally.aws.inventory.resources import tags_of
from tally.aws.inventory.s3 import S3
from tally.aws.inventory.scheduler import Scheduler
from tally.aws.inventory.secretsmanager import SecretsManager
from tally.aws.inventory.sns import SNS
from tally.aws.inventory.ssm import SSM
from tally.aws.inventory.wafv2 import WAFv2

REGION: Final = "us-east-1"
SERVICES: Final = ("adder", "display", "reset")
CONTAINER_SERVICES: Final = ("display", "reset")
# How the account's own records of calls, and the test of the IAM roles, know the check.
AGENT: Final = "tally-check"
# An answer to one question takes well under a second; a question is asked up to five times.
_CONFIG: Final = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "total_max_attempts": 5},
    user_agent_extra=AGENT,
)


class Inventory:
    """One deployment in one account and region."""

    def __init__(
        self,
        name: str,
        *,
        address: str | None = None,
        authorities: Path | None = None,
        session: boto3.Session | None = None,
    ) -> None:
        """Ask nothing yet.

        Credentials, and AWS_ENDPOINT_URL, are the session's own matter. `address` is where the
        public goes, if it is not the one found; `authorities` are trusted there instead of the
        system's.
        """
        self.name = name
        self.address = address
        self.plain_port = http.client.HTTP_PORT
        self.emulated = bool(os.environ.get("AWS_ENDPOINT_URL"))
        self._authorities = authorities
        self._session = session or boto3.Session()
        self.client = cache(self._client)
        self.acm = ACM(self)
        self.application_autoscaling = ApplicationAutoScaling(self)
        self.autoscaling = AutoScaling(self)
        self.budgets = Budgets(self)
        self.cloudfront = CloudFront(self)
        self.cloudwatch = CloudWatch(self)
        self.ec2 = EC2(self)
        self.ecr = ECR(self)
        self.ecs = ECS(self)
        self.elbv2 = ELBv2(self)
        self.iam = IAM(self)
        self.kms = KMS(self)
        self.logs = Logs(self)
        self.rds = RDS(self)
        self.s3 = S3(self)
        self.scheduler = Scheduler(self)
        self.secretsmanager = SecretsManager(self)
        self.sns = SNS(self)
        self.ssm = SSM(self)
        self.wafv2 = WAFv2(self)

    def _client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        return self._session.client(service, region_name=REGION, config=_CONFIG)

    def new_trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._authorities)

    @cached_property
    def id(self) -> str:
        return str(self.client("sts").get_caller_identity()["Account"])

    @cached_property
    def others(self) -> list[str]:
        """Other deployments here whose names begin with this one's, such as `tally-two`."""
        tagged = [{"Name": "tag-key", "Values": ["Deployment"]}]
        found = self.ec2.all("describe_vpcs", "Vpcs", Filters=tagged)
        names = {tags_of(vpc)["Deployment"] for vpc in found}
        return sorted(name for name in names if name.startswith(f"{self.name}-"))

    @cached_property
    def profile(self) -> str:
        """What was deployed: `production` or `small`, as the network's tag says."""
        return tags_of(self.ec2.vpc).get("Profile", "")

    @property
    def out_by_bastion(self) -> bool:
        """Whether the private subnets' way out is the bastion, and not endpoints."""
        return self.profile == "small"

    @cached_property
    def public_host(self) -> str:
        """The host name that people use: the domain, or CloudFront's own."""
        path = "DistributionConfig.Aliases.Items[0] || DomainName"
        return str(jmespath.search(path, self.cloudfront.distribution))
