"""What breaks the way in."""

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.mutations.cloud import Cloud
from tests.support.mutations.declaration import breaks

breaks(
    "ingress-tls", forget_old_tls=lambda cloud: cloud.elbv2.delete_rule(RuleArn=cloud.rule(80, 1))
)

breaks(
    "ingress-tls",
    profile="small",
    speak_old_tls_to_visitors=lambda cloud: cloud.change_distribution(
        lambda config: config["ViewerCertificate"].update(MinimumProtocolVersion="TLSv1")
    ),
)

breaks(
    "ingress-inside",
    profile="small",
    speak_old_tls_inside=lambda cloud: cloud.elbv2.modify_listener(
        ListenerArn=cloud.listener(443), SslPolicy="ELBSecurityPolicy-2016-08"
    ),
)


@breaks("ingress-inside", profile="small")
def speak_plain_http_inside(cloud: Cloud) -> None:
    endpoint = {"Name": "plain", "Arn": cloud.balancer(), "HTTPPort": 80, "HTTPSPort": 443}
    cloud.lead_cloudfront_to({**endpoint, "OriginProtocolPolicy": "http-only"})


@breaks("ingress-https")
def serve_plain_http(cloud: Cloud) -> None:
    def change(config: dict[str, Any]) -> None:
        config["DefaultCacheBehavior"]["ViewerProtocolPolicy"] = "allow-all"

    cloud.change_distribution(change)


@breaks("ingress-certificate", profile="small")
def use_a_certificate_of_ones_own(cloud: Cloud) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tally.example.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    imported = cloud.acm.import_certificate(
        Certificate=certificate.public_bytes(serialization.Encoding.PEM),
        PrivateKey=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    cloud.elbv2.modify_listener(
        ListenerArn=cloud.listener(443),
        Certificates=[{"CertificateArn": imported["CertificateArn"]}],
    )


@breaks("ingress-origin")
def lead_cloudfront_elsewhere(cloud: Cloud) -> None:
    other = cloud.balancer().replace("load-balancer", "other")
    endpoint = {"Name": "other", "Arn": other, "HTTPPort": 80, "HTTPSPort": 443}
    cloud.lead_cloudfront_to({**endpoint, "OriginProtocolPolicy": "http-only"})


breaks(
    "ingress-nothing-else",
    serve_whatever_is_asked=lambda cloud: cloud.elbv2.modify_listener(
        ListenerArn=cloud.listener(80),
        DefaultActions=[{"Type": "forward", "TargetGroupArn": cloud.targets("display")}],
    ),
)

breaks(
    "ingress-invalid-headers",
    keep_invalid_headers=lambda cloud: cloud.set_balancer(
        "routing.http.drop_invalid_header_fields.enabled", "false"
    ),
)

breaks(
    "ingress-desync",
    only_monitor_desync=lambda cloud: cloud.set_balancer(
        "routing.http.desync_mitigation_mode", "monitor"
    ),
)

breaks(
    "ingress-access-logs",
    stop_access_logs=lambda cloud: cloud.set_balancer("access_logs.s3.enabled", "false"),
)


@breaks("ingress-visitors")
def stop_logging_visitors(cloud: Cloud) -> None:
    (delivery,) = cloud.logs.describe_deliveries()["deliveries"]
    cloud.logs.delete_delivery(id=delivery["id"])


breaks(
    "ingress-deletion-protection",
    unprotect_the_load_balancer=lambda cloud: cloud.set_balancer(
        "deletion_protection.enabled", "false"
    ),
)


@breaks("ingress-zones", "ingress-origin")
def stand_in_one_zone(cloud: Cloud) -> None:
    """Replaced by one that differs in that alone: a load balancer that stands can't be moved so.

    CloudFront still leads to the one that is gone.
    """
    elb, arn = cloud.elbv2, cloud.balancer()
    (old,) = elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"]
    (tags,) = elb.describe_tags(ResourceArns=[arn])["TagDescriptions"]
    attributes = elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]
    listeners = elb.describe_listeners(LoadBalancerArn=arn)["Listeners"]
    rules = {
        listener["ListenerArn"]: elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
        for listener in listeners
    }
    cloud.set_balancer("deletion_protection.enabled", "false")
    elb.delete_load_balancer(LoadBalancerArn=arn)
    made = elb.create_load_balancer(
        Name=old["LoadBalancerName"],
        Subnets=[cloud.subnets("private")[0]],
        SecurityGroups=old["SecurityGroups"],
        Scheme=old["Scheme"],
        Tags=tags["Tags"],
    )["LoadBalancers"][0]
    arn = made["LoadBalancerArn"]
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)
    for listener in listeners:
        again = elb.create_listener(
            LoadBalancerArn=arn,
            Port=listener["Port"],
            Protocol=listener["Protocol"],
            DefaultActions=listener["DefaultActions"],
        )["Listeners"][0]
        for rule in rules[listener["ListenerArn"]]:
            if not rule["IsDefault"]:
                elb.create_rule(
                    ListenerArn=again["ListenerArn"],
                    Priority=int(rule["Priority"]),
                    # Values stand twice in an answer.
                    Conditions=[
                        {key: value for key, value in condition.items() if key != "Values"}
                        for condition in rule["Conditions"]
                    ],
                    Actions=rule["Actions"],
                )


breaks(
    "ingress-streams",
    cut_event_streams=lambda cloud: cloud.set_balancer("idle_timeout.timeout_seconds", "5"),
)


@breaks("ingress-streams")
def refuse_posts(cloud: Cloud) -> None:
    def change(config: dict[str, Any]) -> None:
        methods = config["DefaultCacheBehavior"]["AllowedMethods"]
        methods |= {"Quantity": 2, "Items": ["GET", "HEAD"]}

    cloud.change_distribution(change)


breaks(
    "ingress-health",
    ask_health_elsewhere=lambda cloud: cloud.elbv2.modify_target_group(
        TargetGroupArn=cloud.targets("reset"), HealthCheckPath="/"
    ),
)
