"""CloudFront: VPC origins, which moto has not, and what CloudFront makes and refuses for them."""

from typing import Any
from uuid import uuid4

from moto.cloudfront import models as cloudfront
from moto.cloudfront import urls as cloudfront_urls
from moto.cloudfront.exceptions import CloudFrontException
from moto.cloudfront.responses import CloudFrontResponse
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends

REGION = "us-east-1"
# The group that CloudFront makes in a VPC with its first VPC origin there, and removes with the
# last (hashicorp/terraform-provider-aws issue 40683; CloudFront's developer guide).
SERVICE_GROUP = "CloudFront-VPCOrigins-Service-SG"


def _network_of(account: str, origin: dict[str, Any]) -> str | None:
    """The VPC of an origin, if that is a load balancer that stands."""
    balancer = elbv2_backends[account][REGION].load_balancers.get(
        origin["VpcOriginEndpointConfig"]["Arn"]
    )
    return balancer.vpc_id if balancer else None


def _keep_service_group(account: str, network: str | None, *, needed: bool) -> None:
    if network is None:
        return
    ec2 = ec2_backends[account][REGION]
    group = ec2.get_security_group_from_name(SERVICE_GROUP, network)
    if needed and group is None:
        ec2.create_security_group(
            SERVICE_GROUP,
            "CloudFront VPC Origins service managed security group",
            vpc_id=network,
            tags={"aws.cloudfront.vpcorigin": "enabled"},
        )
    elif group is not None and not needed:
        ec2.delete_security_group(group_id=group.id)


def add_vpc_origins() -> None:
    """moto has no VPC origins, and drops a distribution's reference to one.

    CloudFront refuses to change or delete an origin that a distribution uses (API reference of
    UpdateVpcOrigin and DeleteVpcOrigin, CannotUpdateEntityWhileInUse and
    CannotDeleteEntityWhileInUse; hashicorp/terraform-provider-aws issue 40905).
    """
    origins: dict[str, dict[str, Any]] = {}

    def used(self: CloudFrontResponse, name: str) -> bool:
        return any(
            (getattr(origin, "vpc_origin_config", None) or {}).get("VpcOriginId") == name
            for distribution in self.backend.distributions.values()
            for origin in distribution.distribution_config.Origins["Items"]
        )

    def found(self: CloudFrontResponse, *, refusal: str | None = None) -> dict[str, Any]:
        if (name := self._get_param("Id")) not in origins:
            raise CloudFrontException("EntityNotFound", "There is no such VPC origin.")
        if refusal and used(self, name):
            raise CloudFrontException(
                refusal, "The specified VPC origin is associated with one or more distributions."
            )
        return origins[name]

    def result(origin: dict[str, Any]) -> ActionResult:
        return ActionResult({"VpcOrigin": origin, "ETag": origin["ETag"]})

    def create_vpc_origin(self: CloudFrontResponse) -> ActionResult:
        name = f"vo_{uuid4().hex[:22]}"
        arn = f"arn:aws:cloudfront::{self.current_account}:vpcorigin/{name}"
        origins[name] = {
            "Id": name,
            "Arn": arn,
            "ETag": uuid4().hex,
            "Status": "Deployed",
            "CreatedTime": cloudfront.utcnow(),
            "LastModifiedTime": cloudfront.utcnow(),
            "VpcOriginEndpointConfig": self._get_param("VpcOriginEndpointConfig"),
        }
        self.backend.tagger.tag_resource(arn, self._get_param("Tags.Items", []))
        network = _network_of(self.current_account, origins[name])
        _keep_service_group(self.current_account, network, needed=True)
        return result(origins[name])

    def get_vpc_origin(self: CloudFrontResponse) -> ActionResult:
        return result(found(self))

    def update_vpc_origin(self: CloudFrontResponse) -> ActionResult:
        origin = found(self, refusal="CannotUpdateEntityWhileInUse")
        origin["VpcOriginEndpointConfig"] = self._get_param("VpcOriginEndpointConfig")
        return result(origin)

    def list_vpc_origins(self: CloudFrontResponse) -> ActionResult:
        items = [
            {**origin, "OriginEndpointArn": origin["VpcOriginEndpointConfig"]["Arn"]}
            for origin in origins.values()
        ]
        listed = {"MaxItems": 100, "IsTruncated": False, "Quantity": len(items), "Items": items}
        return ActionResult({"VpcOriginList": listed})

    def delete_vpc_origin(self: CloudFrontResponse) -> ActionResult:
        origin = found(self, refusal="CannotDeleteEntityWhileInUse")
        del origins[origin["Id"]]
        network = _network_of(self.current_account, origin)
        others = [_network_of(self.current_account, it) for it in origins.values()]
        _keep_service_group(self.current_account, network, needed=network in others)
        return result(origin)

    for method in (
        create_vpc_origin,
        get_vpc_origin,
        update_vpc_origin,
        list_vpc_origins,
        delete_vpc_origin,
    ):
        setattr(CloudFrontResponse, method.__name__, method)
    cloudfront_urls.url_paths |= {
        "{0}/2020-05-31/vpc-origin$": CloudFrontResponse.dispatch,
        "{0}/2020-05-31/vpc-origin/(?P<vpc_origin_id>[^/]+)$": CloudFrontResponse.dispatch,
    }

    make_origin = cloudfront.Origin.__init__

    def keep_reference(self: cloudfront.Origin, origin: dict[str, Any]) -> None:
        make_origin(self, origin)
        self.vpc_origin_config = origin.get("VpcOriginConfig")

    cloudfront.Origin.__init__ = keep_reference


def patch() -> None:
    add_vpc_origins()
