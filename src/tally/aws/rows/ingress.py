"""The way in: the load balancer, its listeners, and CloudFront where there is no domain."""

from collections.abc import Iterator
from typing import Final

from tally.aws.account import Account, NotFound, Thing
from tally.aws.reachability import OUTSIDE, matrix
from tally.aws.requirement import Concern, NotApplicable, Seen, equal, present

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
_HEARTBEAT: Final = 15


def name_of(account: Account) -> str:
    """What the load balancer is called."""
    return str(account.load_balancer["LoadBalancerName"])


def settings(account: Account) -> Thing:
    """CloudFront's settings, where it stands in front."""
    if account.distribution is None:
        raise NotApplicable("the load balancer has its own domain, without CloudFront")
    return dict(account.distribution["DistributionConfig"])


def _services_listener(account: Account) -> Thing:
    """The listener that leads to the services."""
    for listener in account.listeners:
        if listener["DefaultActions"][-1]["Type"] != "redirect":
            return listener
    raise NotFound("a listener that leads to the services")


@concern.requires("ingress-tls", "Visitors speak TLS 1.2 or 1.3 only")
def _tls(account: Account) -> Iterator[Seen]:
    if account.distribution is not None:
        # CloudFront's own name comes with TLS 1.0; a rule turns away what is too old.
        listener = _services_listener(account)
        refused: set[str] = set()
        for rule in account.rules(listener["ListenerArn"]):
            if rule["Actions"][-1]["Type"] == "forward":
                break
            for condition in rule["Conditions"]:
                config = condition.get("HttpHeaderConfig", {})
                if config.get("HttpHeaderName", "").lower() == "cloudfront-viewer-tls":
                    refused |= set(config["Values"])
        yield present(
            f"{name_of(account)}:{listener['Port']}",
            _OLD_TLS - refused,
            f"before any service, refuses CloudFront-Viewer-TLS {', '.join(sorted(refused))}",
        )
        return
    for listener in account.listeners:
        if listener["Protocol"] == "HTTPS":
            policy = listener.get("SslPolicy", "none")
            subject = f"{name_of(account)}:{listener['Port']}"
            yield Seen(subject, policy in TLS_POLICIES, f"SslPolicy = {policy}")


@concern.requires("ingress-https", "Plain http leads to https and nowhere else", "ELB.1")
def _https(account: Account) -> Iterator[Seen]:
    if account.distribution is not None:
        config = settings(account)
        behaviors = config.get("CacheBehaviors", {}).get("Items", [])
        for behavior in (config["DefaultCacheBehavior"], *behaviors):
            policy = behavior["ViewerProtocolPolicy"]
            good = policy in ("redirect-to-https", "https-only")
            yield Seen(account.distribution["Id"], good, f"ViewerProtocolPolicy = {policy}")
        return
    for listener in account.listeners:
        subject = f"{name_of(account)}:{listener['Port']}"
        if listener["Protocol"] == "HTTP":
            action = listener["DefaultActions"][-1]
            redirect = action.get("RedirectConfig", {})
            rules = account.rules(listener["ListenerArn"])
            good = redirect.get("Protocol") == "HTTPS" and not rules
            yield Seen(subject, good, f"redirects to {redirect.get('Protocol', 'nothing')}")
        else:
            yield Seen(subject, True, listener["Protocol"])


@concern.requires("ingress-certificate", "The https address has a certificate that browsers trust")
def _certificate(account: Account) -> Iterator[Seen]:
    if account.distribution is not None:
        viewer = settings(account)["ViewerCertificate"]
        if viewer.get("CloudFrontDefaultCertificate"):
            name = account.distribution["DomainName"]
            yield Seen(account.distribution["Id"], True, f"CloudFront's own, for {name}")
            return
        arns = [viewer["ACMCertificateArn"]]
    else:
        arns = [
            certificate["CertificateArn"]
            for listener in account.listeners
            for certificate in listener.get("Certificates", [])
        ]
    for arn in arns:
        certificate = account.certificate(arn)
        good = certificate["Status"] == "ISSUED" and certificate["Type"] == "AMAZON_ISSUED"
        seen = f"{certificate['Type']} for {certificate['DomainName']}: {certificate['Status']}"
        yield Seen(arn, good, seen)


@concern.requires(
    "ingress-origin", "Without a domain, the load balancer is reached through CloudFront alone"
)
def _origin(account: Account) -> Iterator[Seen]:
    balancer = account.load_balancer
    for origin in settings(account)["Origins"]["Items"]:
        identifier = origin.get("VpcOriginConfig", {}).get("VpcOriginId")
        if identifier is None:
            yield Seen(origin["Id"], False, "is reached over the internet")
            continue
        arn = account.vpc_origin(identifier)["VpcOriginEndpointConfig"]["Arn"]
        yield equal(identifier, "origin", arn, balancer["LoadBalancerArn"])
    yield equal(name_of(account), "Scheme", balancer["Scheme"], "internal")
    callers = [pair[0] for pair in matrix(account).found if pair[1] == "load balancer"]
    others = sorted(set(callers) & set(OUTSIDE) - {"CloudFront"})
    yield Seen(name_of(account), not others, f"from outside by {', '.join(callers) or 'nobody'}")


@concern.requires("ingress-nothing-else", "What is no service's path gets a fixed 404")
def _nothing_else(account: Account) -> Iterator[Seen]:
    listener = _services_listener(account)
    action = listener["DefaultActions"][-1]
    code = action.get("FixedResponseConfig", {}).get("StatusCode")
    yield Seen(
        f"{name_of(account)}:{listener['Port']}",
        action["Type"] == "fixed-response" and code == "404",
        f"default action = {action['Type']} {code or ''}".rstrip(),
    )


def _attribute(account: Account, key: str, wanted: str) -> Seen:
    return equal(name_of(account), key, account.load_balancer_attributes.get(key), wanted)


@concern.requires("ingress-invalid-headers", "Invalid headers are dropped", "ELB.4")
def _invalid_headers(account: Account) -> Iterator[Seen]:
    yield _attribute(account, "routing.http.drop_invalid_header_fields.enabled", "true")


@concern.requires("ingress-desync", "Desync mitigation is at its strictest", "ELB.12")
def _desync(account: Account) -> Iterator[Seen]:
    yield _attribute(account, "routing.http.desync_mitigation_mode", "strictest")


@concern.requires("ingress-access-logs", "Every request is logged to S3", "ELB.5")
def _access_logs(account: Account) -> Iterator[Seen]:
    yield _attribute(account, "access_logs.s3.enabled", "true")
    bucket = account.load_balancer_attributes.get("access_logs.s3.bucket", "")
    yield Seen(name_of(account), bucket in account.buckets, f"bucket = {bucket or 'none'}")


@concern.requires(
    "ingress-deletion-protection", "The load balancer is protected from deletion", "ELB.6"
)
def _deletion_protection(account: Account) -> Iterator[Seen]:
    yield _attribute(account, "deletion_protection.enabled", "true")


@concern.requires("ingress-zones", "The load balancer stands in at least two zones", "ELB.13")
def _zones(account: Account) -> Iterator[Seen]:
    zones = sorted(zone["ZoneName"] for zone in account.load_balancer["AvailabilityZones"])
    yield Seen(name_of(account), len(zones) >= 2, ", ".join(zones))  # noqa: PLR2004


@concern.requires("ingress-streams", "Event streams and changing requests pass")
def _streams(account: Account) -> Iterator[Seen]:
    idle = int(account.load_balancer_attributes.get("idle_timeout.timeout_seconds", "0"))
    yield Seen(name_of(account), idle > _HEARTBEAT, f"idle timeout = {idle} s")
    if account.distribution is None:
        return
    config = settings(account)
    behavior = config["DefaultCacheBehavior"]
    name = account.distribution["Id"]
    methods = set(behavior["AllowedMethods"]["Items"])
    yield present(name, _METHODS - methods, f"methods = {', '.join(sorted(methods))}")
    yield equal(name, "CachePolicyId", behavior.get("CachePolicyId"), _CACHING_DISABLED)
    policy = behavior.get("OriginRequestPolicyId")
    yield Seen(name, policy in _ALL_VIEWER, f"OriginRequestPolicyId = {policy}")
    yield equal(name, "Compress", behavior["Compress"], False)


@concern.requires("ingress-health", "Each service's health is asked at its own path")
def _health(account: Account) -> Iterator[Seen]:
    for group in account.target_groups.values():
        service = group["TargetGroupName"].removeprefix(f"{account.name}-")
        path = group.get("HealthCheckPath")
        yield equal(
            group["TargetGroupName"], "HealthCheckPath", path, f"/{service}_service/healthz"
        )
