"""HAProxy does what AWS says of the load balancer: whom each path reaches, who is healthy."""

import socket
import threading
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rehearsal.haproxy import HAProxy
from rehearsal.load_balancer import LoadBalancer
from rehearsal.namespaces import Namespace
from rehearsal.network import Network
from tally.aws.reachability import CLOUDFRONT
from tests.support.processes import wait_for
from tests.support.programs import need

PORT = 8080


class Target(ThreadingHTTPServer):
    """Answers with its name, on a host of the network, and says whether it is healthy."""

    def __init__(self, network, host):
        self.host, self.healthy, self.asked = host, True, []
        with network.hosts[host].entered():
            listener = socket.create_server((host.address, PORT))
        super().__init__(listener.getsockname(), Answer, bind_and_activate=False)
        self.socket.close()
        self.socket = listener


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        target = self.server
        target.asked.append((self.path, self.headers))
        ill = self.path.endswith("/healthz") and not target.healthy
        self.send_response(503 if ill else 404 if self.path == "/wrong" else 200)
        self.send_header("Content-Length", str(len(target.host.name)))
        self.end_headers()
        self.wfile.write(target.host.name.encode())

    def log_message(self, *_):
        pass


class Balanced:
    """The network, its load balancer, and what stands behind that."""

    def __init__(self, found, network, balancer, targets):
        self.found, self.network, self.balancer, self.targets = found, network, balancer, targets
        [self.client] = [it for it in found.outsiders if it.name == CLOUDFRONT]

    def get(self, path, node=None, **headers):
        """Ask as CloudFront does; give the status and the body."""
        node = node or next(iter(self.balancer.nodes))
        with self.network.hosts[self.client].entered():
            connected = socket.socket()
        connected.connect((node.address, 80))
        with closing(HTTPConnection(node.address)) as connection:
            connection.sock = connected
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def of(self, service):
        return [it for it in self.targets if it.host.name == service]

    def healthy(self, service):
        """The targets that all nodes find healthy, if they agree."""
        name = f"{self.found.name}-{service}"
        one, *others = [self.balancer.healthy(node)[name] for node in self.balancer.nodes]
        return one if all(it == one for it in others) else None


@pytest.fixture
def balanced(account, networks):
    need("haproxy")

    @contextmanager
    def stand_up():
        found = account()
        with ExitStack() as stack:
            network = stack.enter_context(closing(Network(found)))
            targets = []
            for host in found.interfaces:
                if host.name in ("adder", "display", "reset"):
                    target = stack.enter_context(Target(network, host))
                    threading.Thread(target=target.serve_forever, daemon=True).start()
                    stack.callback(target.shutdown)
                    targets.append(target)
            balancer = stack.enter_context(closing(LoadBalancer(found, network)))
            yield Balanced(found, network, balancer, targets)

    return stand_up


def test_each_path_reaches_its_service_at_every_node(balanced):
    with balanced() as it:
        assert len(it.balancer.nodes) == 2
        for node in it.balancer.nodes:
            for path, service in {
                "/": "display",
                "/openapi.json": "display",
                "/adder_service": "adder",
                "/adder_service/entries?limit=1": "adder",
                "/adder_service-and-more": "adder",
                "/display_service/total": "display",
                "/reset_service/": "reset",
            }.items():
                assert it.get(path, node) == (200, service)
            for path in ("/index.html", "/Adder_service", "/a/adder_service", "//"):
                status, text = it.get(path, node)
                assert status == 404
                assert "There is nothing here." in text


def test_a_rule_that_comes_first_decides(balanced):
    """Whether it refuses or forwards; what a header holds is compared in any case."""
    with balanced() as it:
        for version, status in {"TLSv1:AES": 403, "tlsv1.1:x": 403, "TLSv1.2:x": 200}.items():
            assert it.get("/", **{"CloudFront-Viewer-TLS": version})[0] == status


def test_a_target_is_told_who_asks(balanced):
    with balanced() as it:
        it.get("/adder_service/who", **{"X-Forwarded-For": "198.51.100.7"})
        [(_, headers)] = [
            asked
            for target in it.of("adder")
            for asked in target.asked
            if asked[0] == "/adder_service/who"
        ]
    assert headers.get_all("X-Forwarded-For") == ["198.51.100.7", it.client.address]
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["X-Forwarded-Port"] == "80"


def test_targets_of_all_zones_serve_until_their_checks_fail(balanced):
    with balanced() as it:
        one, other = it.of("display")
        assert one.host.zone != other.host.zone
        both = {f"{target.host.address}:{PORT}" for target in (one, other)}
        wait_for(lambda: it.healthy("display") == both)
        one.healthy = False
        wait_for(lambda: it.healthy("display") == {f"{other.host.address}:{PORT}"})
        one.asked.clear()
        assert {it.get("/display_service/total")[0] for _ in range(10)} == {200}
        assert not [path for path, _ in one.asked if not path.endswith("healthz")]
        # Nobody is healthy any more: all are asked.
        other.healthy = False
        wait_for(lambda: it.healthy("display") == set())
        assert {it.get("/display_service/total")[0] for _ in range(10)} == {200}
        assert [path for path, _ in one.asked if not path.endswith("healthz")]
        one.healthy = other.healthy = True
        wait_for(lambda: it.healthy("display") == both)


def test_a_check_of_a_wrong_path_finds_nobody_healthy(balanced, account):
    elbv2 = account().aws.elbv2
    [group] = [it for it in elbv2.target_groups.values() if it["TargetGroupName"].endswith("reset")]
    elbv2.client.modify_target_group(
        TargetGroupArn=group["TargetGroupArn"], HealthCheckPath="/wrong"
    )
    with balanced() as it:
        wait_for(lambda: it.healthy("reset") == set())


def test_what_is_not_understood_is_told(networks):
    need("haproxy")
    with (
        closing(Namespace()) as network,
        pytest.raises(RuntimeError, match="unknown keyword 'nonsense'"),
    ):
        HAProxy("nonsense", {}, network)
