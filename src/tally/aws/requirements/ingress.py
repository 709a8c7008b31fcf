"""The way in: CloudFront, and the load balancer behind it with its listeners."""

from collections.abc import Iterator
from typing import Final

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import NotFound, Resource
from tally.aws.predicates import at_least, includes, one_of
from tally.aws.reachability import OUTSIDE, matrix
from tally.aws.requirement import Concern, Evidence, NotApplicable, Verdict, hold, named, verdict

concern = Concern("Ingress")
requires = concern.requires

# Elastic Load Balancing's policies with nothing older than TLS 1.2, by its documentation.
TLS_POLICIES: Final = {
    "ELBSecurityPolicy-TLS13-1-2-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-3-2021-06",
    "ELBSecurityPolicy-TLS13-1-3-PQ-2025-09",
}
# CloudFront's policies with nothing older than TLS 1.2, which take a certificate of one's own.
_VIEWER_POLICIES: Final = {
    "TLSv1.2_2018",
    "TLSv1.2_2019",
    "TLSv1.2_2021",
    "TLSv1.2_2025",
    "TLSv1.3_2025",
}
# How CloudFront-Viewer-TLS begins for versions that are too old.
_OLD_TLS: Final = {"SSLv3:*", "TLSv1:*", "TLSv1.1:*"}
_TO_HTTPS: Final = one_of({"redirect-to-https", "https-only"})
# What a page or a program sends to the services.
_METHODS: Final = {"GET", "HEAD", "OPTIONS", "POST", "DELETE"}
# AWS's own policies: nothing is cached; what the viewer sent, and facts about it, is passed on.
_PASSING: Final = {
    "CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad",
    "OriginRequestPolicyId": one_of(
        {"216adef6-5c7f-47e4-b989-5492eafa07d3", "33f36d7e-f396-46d9-90e0-52428a34d9dc"}
    ),
    "Compress": False,
}
# Seconds between two signs of life on an open event stream; what is in between must wait longer.
_HEARTBEAT: Final = 5


_balancer = named("LoadBalancerName", lambda aws: [aws.elbv2.load_balancer])


def _name(aws: Inventory) -> str:
    return str(aws.elbv2.load_balancer["LoadBalancerName"])


def _attributes(aws: Inventory) -> list[tuple[str, Resource]]:
    return [(_name(aws), aws.elbv2.load_balancer_attributes)]


def _listeners(aws: Inventory) -> list[tuple[str, Resource]]:
    return [(f"{_name(aws)}:{it['Port']}", it) for it in aws.elbv2.listeners]


def _services_listener(aws: Inventory) -> list[tuple[str, Resource]]:
    for name, listener in _listeners(aws):
        if listener["DefaultActions"][-1]["Type"] != "redirect":
            return [(name, listener)]
    raise NotFound("a listener that leads to the services")


@requires("ingress-tls", "Visitors speak TLS 1.2 or 1.3 only")
def _tls(aws: Inventory) -> Iterator[Evidence]:
    if aws.cloudfront.certificate is not None:
        oldest = aws.cloudfront.settings["ViewerCertificate"]["MinimumProtocolVersion"]
        name = aws.cloudfront.distribution["Id"]
        yield hold(name, "MinimumProtocolVersion", oldest, one_of(_VIEWER_POLICIES))
        return
    # CloudFront's own name comes with TLS 1.0; a rule turns away what is too old.
    ((name, listener),) = _services_listener(aws)
    refused: list[str] = []
    for rule in aws.elbv2.rules(listener["ListenerArn"]):
        if rule["Actions"][-1]["Type"] == "forward":
            break
        for condition in rule["Conditions"]:
            config = condition.get("HttpHeaderConfig", {})
            if config.get("HttpHeaderName", "").lower() == "cloudfront-viewer-tls":
                refused += config["Values"]
    label = "before any service, refused CloudFront-Viewer-TLS"
    yield hold(name, label, refused, includes(_OLD_TLS))


@requires("ingress-https", "Plain http leads to https and nowhere else", "ELB.1")
def _https(aws: Inventory) -> Iterator[Evidence]:
    config = aws.cloudfront.settings
    behaviors = config.get("CacheBehaviors", {}).get("Items", [])
    for behavior in (config["DefaultCacheBehavior"], *behaviors):
        policy = behavior["ViewerProtocolPolicy"]
        yield hold(aws.cloudfront.distribution["Id"], "ViewerProtocolPolicy", policy, _TO_HTTPS)


@requires("ingress-certificate", "The https address has a certificate that browsers trust")
def _certificate(aws: Inventory) -> Iterator[Evidence]:
    if aws.cloudfront.certificate is None:
        name = aws.cloudfront.distribution["DomainName"]
        yield Evidence(aws.cloudfront.distribution["Id"], True, f"CloudFront's own, for {name}")
        return
    for arn in dict.fromkeys([aws.cloudfront.certificate, *aws.elbv2.certificates]):
        it = aws.acm.certificate(arn)
        good = it["Status"] == "ISSUED" and it["Type"] == "AMAZON_ISSUED"
        yield Evidence(arn, good, f"{it['Type']} for {it['DomainName']}: {it['Status']}")


@requires("ingress-inside", "With a domain, CloudFront speaks TLS to the load balancer as well")
def _inside(aws: Inventory) -> Iterator[Evidence]:
    if aws.cloudfront.certificate is None:
        raise NotApplicable("the load balancer can have no certificate without a domain")
    for origin in aws.cloudfront.vpc_origins:
        policy = origin["VpcOriginEndpointConfig"]["OriginProtocolPolicy"]
        yield hold(origin["Id"], "OriginProtocolPolicy", policy, "https-only")
    for name, listener in _listeners(aws):
        yield hold(name, "SslPolicy", listener.get("SslPolicy"), one_of(TLS_POLICIES))


@requires("ingress-origin", "The load balancer is reached through CloudFront alone")
def _origin(aws: Inventory) -> Iterator[Evidence]:
    balancer = aws.elbv2.load_balancer
    for origin in aws.cloudfront.settings["Origins"]["Items"]:
        if "VpcOriginConfig" not in origin:
            yield Evidence(origin["Id"], False, "is reached over the internet")
    for origin in aws.cloudfront.vpc_origins:
        arn = origin["VpcOriginEndpointConfig"]["Arn"]
        yield hold(origin["Id"], "origin", arn, balancer["LoadBalancerArn"])
    yield hold(_name(aws), "Scheme", balancer["Scheme"], "internal")
    callers = [pair[0] for pair in matrix(aws).found if pair[1] == "load balancer"]
    others = set(callers) & set(OUTSIDE) - {"CloudFront"}
    yield Evidence(_name(aws), not others, f"from outside by {', '.join(callers) or 'nobody'}")


_nothing_else = requires("ingress-nothing-else", "What is no service's path gets a fixed 404")
_nothing_else.field(
    _services_listener, "DefaultActions[-1].Type", "fixed-response", "default action"
)
_nothing_else.field(_services_listener, "DefaultActions[-1].FixedResponseConfig.StatusCode", "404")
requires("ingress-invalid-headers", "Invalid headers are dropped", "ELB.4").field(
    _attributes, '"routing.http.drop_invalid_header_fields.enabled"', "true"
)
requires("ingress-desync", "Desync mitigation is at its strictest", "ELB.12").field(
    _attributes, '"routing.http.desync_mitigation_mode"', "strictest"
)
requires(
    "ingress-deletion-protection", "The load balancer is protected from deletion", "ELB.6"
).field(_attributes, '"deletion_protection.enabled"', "true")
_access_logs = requires("ingress-access-logs", "Every request is logged to S3", "ELB.5")
_access_logs.field(_attributes, '"access_logs.s3.enabled"', "true")


@_access_logs.each(_attributes)
def _log_bucket(aws: Inventory, attributes: Resource) -> Verdict:
    return verdict("bucket", attributes.get("access_logs.s3.bucket"), one_of(aws.s3.buckets))


@requires("ingress-visitors", "Every visitor's request is logged to S3, with his address")
def _visitors(aws: Inventory) -> Iterator[Evidence]:
    distribution = aws.cloudfront.distribution
    kinds = [it["deliveryDestinationType"] for it in aws.logs.deliveries(distribution["ARN"])]
    yield hold(distribution["Id"], "access logs to", kinds, includes({"S3"}))


requires("ingress-zones", "The load balancer stands in at least two zones", "ELB.13").field(
    _balancer, "AvailabilityZones[].ZoneName", at_least(2), "zones"
)


@requires("ingress-streams", "Event streams and changing requests pass")
def _streams(aws: Inventory) -> Iterator[Evidence]:
    idle = int(aws.elbv2.load_balancer_attributes.get("idle_timeout.timeout_seconds", "0"))
    yield Evidence(_name(aws), idle > _HEARTBEAT, f"idle timeout = {idle} s")
    behavior = aws.cloudfront.settings["DefaultCacheBehavior"]
    name = aws.cloudfront.distribution["Id"]
    yield hold(name, "methods", behavior["AllowedMethods"]["Items"], includes(_METHODS))
    for key, wanted in _PASSING.items():
        yield hold(name, key, behavior.get(key), wanted)


@requires("ingress-health", "Each service's health is asked at its own path").each(
    named("TargetGroupName", lambda aws: aws.elbv2.target_groups.values())
)
def _health(aws: Inventory, group: Resource) -> Verdict:
    service = group["TargetGroupName"].removeprefix(f"{aws.name}-")
    return verdict("HealthCheckPath", group.get("HealthCheckPath"), f"/{service}_service/healthz")
