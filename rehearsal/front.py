"""In front of all: TLS for a browser, as CloudFront does it, with an authority of our own."""

import socket

from rehearsal.found import Found
from rehearsal.haproxy import HAProxy
from rehearsal.network import Network
from tally.aws.reachability import CLOUDFRONT
from tests.support.managed_postgres import Certificates

NAME = "localhost"


class Front:
    """Listens on this machine, and asks the load balancer from where CloudFront stands."""

    def __init__(self, found: Found, network: Network, certificates: Certificates) -> None:
        listener = socket.create_server((NAME, 0))
        self.url = f"https://{NAME}:{listener.getsockname()[1]}"
        both = certificates.certificate.with_name("front.pem")
        both.write_text(certificates.certificate.read_text() + certificates.key.read_text())
        [outside] = [it for it in found.outsiders if it.name == CLOUDFRONT]
        text = "\n".join([*_settings(found, str(both)), ""])
        self._proxy = HAProxy(text, {"FRONT": listener}, network.hosts[outside])

    def close(self) -> None:
        self._proxy.close()


def _settings(found: Found, certificate: str) -> list[str]:
    [origin] = found.aws.cloudfront.vpc_origins
    asked = origin["VpcOriginEndpointConfig"]
    if asked["OriginProtocolPolicy"] != "http-only":
        raise NotImplementedError(f"an origin that is not rehearsed yet: {asked}")
    servers = [f"{it.address}:{asked['HTTPPort']}" for it in found.origins]
    return [
        *("defaults", "mode http", "option forwardfor"),
        *("timeout connect 10s", "timeout client 60s", "timeout server 60s"),
        *("frontend front", f"bind fd@${{FRONT}} ssl crt {certificate} alpn h2,http/1.1"),
        "http-request set-header CloudFront-Viewer-TLS %[ssl_fc_protocol]:%[ssl_fc_cipher]",
        "http-request set-header CloudFront-Forwarded-Proto https",
        *("default_backend origin", "backend origin", "balance roundrobin"),
        # DNS leads to the nodes that live (user guide for Application Load Balancers, "Target
        # group health").
        *(f"server {it} {it} check inter 1s" for it in servers),
    ]
