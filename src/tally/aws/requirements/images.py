"""The images' repositories."""

from tally.aws.predicates import given
from tally.aws.requirement import Concern, named

concern = Concern("Images")
requires = concern.requires

_repositories = named("repositoryName", lambda aws: aws.ecr.repositories)


_scanned = requires("images-scanned", "Images are scanned when they are pushed", "ECR.1")
_scanned.names(
    "ECR",
    lambda aws: (it["repositoryName"] for it in aws.ecr.repositories),
    "{name}/display",
    "{name}/reset",
)
_scanned.field(_repositories, "imageScanningConfiguration.scanOnPush", True)
requires("images-immutable", "An image's tag never moves", "ECR.2").field(
    _repositories, "imageTagMutability", "IMMUTABLE"
)


requires("images-lifecycle", "Old images are removed", "ECR.3").field(
    _repositories, lambda aws, it: aws.ecr.lifecycle_policy(it["repositoryName"]), given, "policy"
)
