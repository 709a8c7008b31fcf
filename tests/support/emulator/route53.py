"""Route 53: the form of a zone's id."""

from moto.route53 import models as route53


def name_zones_as_aws_does() -> None:
    """moto's zone ids lack the Z that every hosted zone's id begins with."""
    make = route53.create_route53_zone_id
    route53.create_route53_zone_id = lambda *given, **named: f"Z{make(*given, **named)}"


def patch() -> None:
    name_zones_as_aws_does()
