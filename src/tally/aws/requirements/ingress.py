"""The way in: the load balancer, its listeners, and CloudFront where there is no domain."""

from collections.abc import Iterator
from typing import Final

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import NotFound, Resource
from tally.aws.reachability import OUTSIDE, matrix
from tally.aws.requirement import Concern, Evidence, Field, NotApplicable, equal, present

concern = Concern("Ingress")

# Elastic Load Balancing's policies with nothing older than TLS 1.2, by its documentation.
TLS_POLICIES: Final = {
    "ELBSecurityPolicy-TLS13-1-2-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
    "ELBSecurityPolicy-TLS13-1-2-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
    "ELBSecurityPolicy-TLS13-1-3-2021-06",
    "ELBSecurityPolicy-TLS13-1-3-PQ-2025-09",
}
# How CloudFront-Viewer-TLS begins for versions that are too old.
_OLD_TLS: Final = {"SSLv3:*", "TLSv1:*", "TLSv1.1:*"}
# What a page or a program sends to the services.
_METHODS: Final = {"GET", "HEAD", "OPTIONS", "POST", "DELETE"}
# AWS's own policies: nothing is cached; what the viewer sent, and facts about it, is passed on.
_CACHING_DISABLED: Final = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
_ALL_VIEWER: Final = {
    "216adef6-5c7f-47e4-b989-5492eafa07d3",
    "33f36d7e-f396-46d9-90e0-52428a34d9dc",
}
# Seconds between two signs of life on an open event stream; what is in between must wait longer.
_HEARTBEAT: Final = 5


def name_of(aws: Inventory) -> str:
    """What the load balancer is called."""
    return str(aws.elbv2.load_balancer["LoadBalancerName"])


def settings(aws: Inventory) -> Resource:
    """CloudFront's settings, where it stands in front."""
    if aws.cloudfront.distribution is None:
        raise NotApplicable("the load balancer has its own domain, without CloudFront")
    return dict(aws.cloudfront.distribution["DistributionConfig"])


def _services_listener(aws: Inventory) -> Resource:
    """The listener that leads to the services."""
    for listener in aws.elbv2.listeners:
        if listener["DefaultActions"][-1]["Type"] != "redirect":
            return listener
    raise NotFound("a listener that leads to the services")


@concern.requires("ingress-tls", "Visitors speak TLS 1.2 or 1.3 only")
def _tls(aws: Inventory) -> Iterator[Evidence]:
    if aws.cloudfront.distribution is not None:
        # CloudFront's own name comes with TLS 1.0; a rule turns away what is too old.
        listener = _services_listener(aws)
        refused: set[str] = set()
        for rule in aws.elbv2.rules(listener["ListenerArn"]):
            if rule["Actions"][-1]["Type"] == "forward":
                break
            for condition in rule["Conditions"]:
                config = condition.get("HttpHeaderConfig", {})
                if config.get("HttpHeaderName", "").lower() == "cloudfront-viewer-tls":
                    refused |= set(config["Values"])
        yield present(
            f"{name_of(aws)}:{listener['Port']}",
            _OLD_TLS - refused,
            f"before any service, refuses CloudFront-Viewer-TLS {', '.join(sorted(refused))}",
        )
        return
    for listener in aws.elbv2.listeners:
        if listener["Protocol"] == "HTTPS":
            policy = listener.get("SslPolicy", "none")
            subject = f"{name_of(aws)}:{listener['Port']}"
            yield Evidence(subject, policy in TLS_POLICIES, f"SslPolicy = {policy}")


@concern.requires("ingress-https", "Plain http leads to https and nowhere else", "ELB.1")
def _https(aws: Inventory) -> Iterator[Evidence]:
    if aws.cloudfront.distribution is not None:
        config = settings(aws)
        behaviors = config.get("CacheBehaviors", {}).get("Items", [])
        for behavior in (config["DefaultCacheBehavior"], *behaviors):
            policy = behavior["ViewerProtocolPolicy"]
            good = policy in ("redirect-to-https", "https-only")
            yield Evidence(
                aws.cloudfront.distribution["Id"], good, f"ViewerProtocolPolicy = {policy}"
            )
        return
    for listener in aws.elbv2.listeners:
        subject = f"{name_of(aws)}:{listener['Port']}"
        if listener["Protocol"] == "HTTP":
            action = listener["DefaultActions"][-1]
            redirect = action.get("RedirectConfig", {})
            rules = aws.elbv2.rules(listener["ListenerArn"])
            good = redirect.get("Protocol") == "HTTPS" and not rules
            yield Evidence(subject, good, f"redirects to {redirect.get('Protocol', 'nothing')}")
        else:
            yield Evidence(subject, True, listener["Protocol"])


@concern.requires("ingress-certificate", "The https address has a certificate that browsers trust")
def _certificate(aws: Inventory) -> Iterator[Evidence]:
    if aws.cloudfront.distribution is not None:
        viewer = settings(aws)["ViewerCertificate"]
        if viewer.get("CloudFrontDefaultCertificate"):
            name = aws.cloudfront.distribution["DomainName"]
            yield Evidence(aws.cloudfront.distribution["Id"], True, f"CloudFront's own, for {name}")
            return
        arns = [viewer["ACMCertificateArn"]]
    else:
        arns = [
            certificate["CertificateArn"]
            for listener in aws.elbv2.listeners
            for certificate in listener.get("Certificates", [])
        ]
    for arn in arns:
        certificate = aws.acm.certificate(arn)
        good = certificate["Status"] == "ISSUED" and certificate["Type"] == "AMAZON_ISSUED"
        seen = f"{certificate['Type']} for {certificate['DomainName']}: {certificate['Status']}"
        yield Evidence(arn, good, seen)


@concern.requires(
    "ingress-origin", "Without a domain, the load balancer is reached through CloudFront alone"
)
def _origin(aws: Inventory) -> Iterator[Evidence]:
    balancer = aws.elbv2.load_balancer
    for origin in settings(aws)["Origins"]["Items"]:
        identifier = origin.get("VpcOriginConfig", {}).get("VpcOriginId")
        if identifier is None:
            yield Evidence(origin["Id"], False, "is reached over the internet")
            continue
        arn = aws.cloudfront.vpc_origin(identifier)["VpcOriginEndpointConfig"]["Arn"]
        yield equal(identifier, "origin", arn, balancer["LoadBalancerArn"])
    yield equal(name_of(aws), "Scheme", balancer["Scheme"], "internal")
    callers = [pair[0] for pair in matrix(aws).found if pair[1] == "load balancer"]
    others = sorted(set(callers) & set(OUTSIDE) - {"CloudFront"})
    yield Evidence(name_of(aws), not others, f"from outside by {', '.join(callers) or 'nobody'}")


@concern.requires("ingress-nothing-else", "What is no service's path gets a fixed 404")
def _nothing_else(aws: Inventory) -> Iterator[Evidence]:
    listener = _services_listener(aws)
    action = listener["DefaultActions"][-1]
    code = action.get("FixedResponseConfig", {}).get("StatusCode")
    yield Evidence(
        f"{name_of(aws)}:{listener['Port']}",
        action["Type"] == "fixed-response" and code == "404",
        f"default action = {action['Type']} {code or ''}".rstrip(),
    )


concern.requires_fields(
    lambda aws: [(name_of(aws), aws.elbv2.load_balancer_attributes)],
    Field(
        "ingress-invalid-headers",
        "Invalid headers are dropped",
        ("ELB.4",),
        "routing.http.drop_invalid_header_fields.enabled",
        "true",
    ),
    Field(
        "ingress-desync",
        "Desync mitigation is at its strictest",
        ("ELB.12",),
        "routing.http.desync_mitigation_mode",
        "strictest",
    ),
    Field(
        "ingress-deletion-protection",
        "The load balancer is protected from deletion",
        ("ELB.6",),
        "deletion_protection.enabled",
        "true",
    ),
)


@concern.requires("ingress-access-logs", "Every request is logged to S3", "ELB.5")
def _access_logs(aws: Inventory) -> Iterator[Evidence]:
    attributes = aws.elbv2.load_balancer_attributes
    enabled = attributes.get("access_logs.s3.enabled")
    yield equal(name_of(aws), "access_logs.s3.enabled", enabled, "true")
    bucket = attributes.get("access_logs.s3.bucket", "")
    yield Evidence(name_of(aws), bucket in aws.s3.buckets, f"bucket = {bucket or 'none'}")


@concern.requires("ingress-zones", "The load balancer stands in at least two zones", "ELB.13")
def _zones(aws: Inventory) -> Iterator[Evidence]:
    zones = sorted(zone["ZoneName"] for zone in aws.elbv2.load_balancer["AvailabilityZones"])
    yield Evidence(name_of(aws), len(zones) >= 2, ", ".join(zones))  # noqa: PLR2004


@concern.requires("ingress-streams", "Event streams and changing requests pass")
def _streams(aws: Inventory) -> Iterator[Evidence]:
    idle = int(aws.elbv2.load_balancer_attributes.get("idle_timeout.timeout_seconds", "0"))
    yield Evidence(name_of(aws), idle > _HEARTBEAT, f"idle timeout = {idle} s")
    if aws.cloudfront.distribution is None:
        return
    config = settings(aws)
    behavior = config["DefaultCacheBehavior"]
    name = aws.cloudfront.distribution["Id"]
    methods = set(behavior["AllowedMethods"]["Items"])
    yield present(name, _METHODS - methods, f"methods = {', '.join(sorted(methods))}")
    yield equal(name, "CachePolicyId", behavior.get("CachePolicyId"), _CACHING_DISABLED)
    policy = behavior.get("OriginRequestPolicyId")
    yield Evidence(name, policy in _ALL_VIEWER, f"OriginRequestPolicyId = {policy}")
    yield equal(name, "Compress", behavior["Compress"], False)


@concern.requires("ingress-health", "Each service's health is asked at its own path")
def _health(aws: Inventory) -> Iterator[Evidence]:
    for group in aws.elbv2.target_groups.values():
        service = group["TargetGroupName"].removeprefix(f"{aws.name}-")
        path = group.get("HealthCheckPath")
        yield equal(
            group["TargetGroupName"], "HealthCheckPath", path, f"/{service}_service/healthz"
        )
