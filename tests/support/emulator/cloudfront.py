"""CloudFront: VPC origins, which moto has not."""

from typing import Any
from uuid import uuid4

from moto.cloudfront import models as cloudfront
from moto.cloudfront import urls as cloudfront_urls
from moto.cloudfront.exceptions import CloudFrontException
from moto.cloudfront.responses import CloudFrontResponse
from moto.core.responses import ActionResult


def add_vpc_origins() -> None:
    """moto has no VPC origins, and drops a distribution's reference to one."""
    origins: dict[str, dict[str, Any]] = {}

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
        return result(origins[name])

    def get_vpc_origin(self: CloudFrontResponse) -> ActionResult:
        if (name := self._get_param("Id")) not in origins:
            raise _NoSuchVpcOrigin
        return result(origins[name])

    def list_vpc_origins(self: CloudFrontResponse) -> ActionResult:
        items = [
            {**origin, "OriginEndpointArn": origin["VpcOriginEndpointConfig"]["Arn"]}
            for origin in origins.values()
        ]
        listed = {"MaxItems": 100, "IsTruncated": False, "Quantity": len(items), "Items": items}
        return ActionResult({"VpcOriginList": listed})

    def delete_vpc_origin(self: CloudFrontResponse) -> ActionResult:
        if (name := self._get_param("Id")) not in origins:
            raise _NoSuchVpcOrigin
        return result(origins.pop(name))

    for method in (create_vpc_origin, get_vpc_origin, list_vpc_origins, delete_vpc_origin):
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


class _NoSuchVpcOrigin(CloudFrontException):
    def __init__(self) -> None:
        super().__init__("EntityNotFound", "There is no such VPC origin.")


def patch() -> None:
    add_vpc_origins()
