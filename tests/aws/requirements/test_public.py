"""What only a request can show, asked of the real services behind a real https address.

A small proxy stands in for CloudFront, its firewall and the load balancer: it ends TLS, redirects
plain http, blocks what the firewall's managed rules block, and answers 404 where no service has a
path.
"""

import contextlib
import datetime as dt
import http.client
import http.server
import ipaddress
import ssl
import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tally.aws import check as checks
from tally.aws.check import Status
from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import NotFound
from tally.aws.requirement import NotApplicable
from tally.aws.requirements import public
from tests.support.empty_account import EmptyAccount
from tests.support.mutations.public import BROKEN
from tests.support.web_firewall import blocked_by

PATHS = ("/adder_service", "/display_service", "/reset_service")


@dataclass
class Proxy:
    """What the proxy does; each field can be set to what is wrong."""

    upstream: str
    folder: Path
    redirects: bool = True
    refuses: bool = True
    oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    trusted: bool = True
    ports: dict[bool, int] = field(default_factory=dict)

    def account(self):
        aws = Inventory(
            "tally",
            address=f"https://localhost:{self.ports[True]}",
            authorities=self.folder / "authority.pem" if self.trusted else None,
        )
        aws.plain_port = self.ports[False]
        return aws

    def answer(self, path, *, secure):
        """Status, headers and body."""
        known = path == "/" or path.startswith(PATHS)
        if not secure and self.redirects:
            return 301, {"Location": f"https://localhost:{self.ports[True]}{path}"}, b""
        if self.refuses and not known:
            return 404, {}, b""
        try:
            answer = httpx.get(self.upstream + (path if known else "/"), follow_redirects=True)
        except httpx.HTTPError:
            return 503, {}, b""
        kind = {"Content-Type": answer.headers.get("content-type", "")}
        return answer.status_code, kind, answer.content

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem")
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            # What is old on purpose is deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = self.oldest
        context.maximum_version = self.newest
        return context

    @contextlib.contextmanager
    def serving(self, *, secure):
        edge = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if rule := blocked_by(self.path, self.headers):
                    status, headers, body = 403, {}, rule.encode()
                else:
                    status, headers, body = edge.answer(self.path, secure=secure)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("localhost", 0), Handler) as server:
            if secure:
                server.socket = self.context().wrap_socket(server.socket, server_side=True)
            self.ports[secure] = server.server_port
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            yield
            server.shutdown()
            thread.join()

    @contextlib.contextmanager
    def running(self):
        with self.serving(secure=True), self.serving(secure=False):
            yield self


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """An authority, and a certificate of its for localhost."""
    folder = tmp_path_factory.mktemp("certificates")
    now = dt.datetime.now(dt.UTC)

    def make(subject, issuer, public_key, signer, *extensions):
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority, server = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = make(
        "authority",
        "authority",
        authority.public_key(),
        authority,
        (x509.BasicConstraints(ca=True, path_length=None), True),
    )
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    leaf = make(
        "localhost",
        "authority",
        server.public_key(),
        authority,
        (x509.SubjectAlternativeName(names), False),
    )
    (folder / "authority.pem").write_bytes(root)
    (folder / "server.pem").write_bytes(
        server.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + leaf
    )
    return folder


@pytest.fixture
def edge(server, certificates):
    """Starts the proxy before the running services, as it should be or with something wrong."""
    with contextlib.ExitStack() as stack:

        def start(upstream=server.url, **wrong):
            return stack.enter_context(Proxy(upstream, certificates, **wrong).running())

        yield start


def failed(aws):
    """The requirements that are not met, with why."""
    evidence = {it.id: list(it.look(aws)) for it in public.concern.requirements}
    assert all(evidence.values())
    return {
        name: [it for it in found if not it.good]
        for name, found in evidence.items()
        if not all(it.good for it in found)
    }


def test_an_address_that_is_as_it_should_be_passes(edge):
    assert failed(edge().account()) == {}


@pytest.mark.parametrize(
    ("path", "agent", "blocked"),
    [
        ("/", "curl/8", None),
        ("/", None, "NoUserAgent_HEADER"),
        (f"/{'a' * 1024}", "curl/8", "SizeRestrictions_URIPATH"),
        (f"/?{'a' * 2049}", "curl/8", "SizeRestrictions_QUERYSTRING"),
    ],
    ids=["nothing", "no-agent", "long-path", "long-query"],
)
def test_the_firewall_before_it_blocks_what_awss_managed_rules_block(edge, path, agent, blocked):
    connection = http.client.HTTPConnection("localhost", edge().ports[False], timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"User-Agent": agent} if agent else {})
        answer = connection.getresponse()
        assert (answer.status == 403, answer.read().decode() or None) == (bool(blocked), blocked)


@pytest.mark.parametrize("requirement", sorted(set(BROKEN) - {"public-pages"}))
def test_one_wrong_thing_fails_one_requirement(edge, requirement):
    assert set(failed(edge(**BROKEN[requirement]).account())) == {requirement}


def test_without_tls_1_3_the_versions_fail(edge):
    assert set(failed(edge(newest=ssl.TLSVersion.TLSv1_2).account())) == {"public-tls"}


def test_a_certificate_that_nobody_trusts_fails_all_that_need_it(edge):
    found = failed(edge(**BROKEN["public-pages"]).account())
    assert set(found) == {"public-pages", "public-404", "public-tls"}
    assert "CERTIFICATE_VERIFY_FAILED" in found["public-pages"][0].what


def test_a_service_that_is_away_fails(edge):
    assert "public-pages" in failed(edge(upstream="http://127.0.0.1:9").account())


def test_an_emulator_has_no_public_address(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(NotApplicable, match="an emulator has no public address"):
        public.address(Inventory("tally"))
    assert public.address(Inventory("tally", address="https://a.example")) == "https://a.example"


class Unaddressed(EmptyAccount):
    """A real account in which nothing leads the public to the services."""

    address, emulated = None, False

    @property
    def public_host(self):
        raise NotFound("a distribution of CloudFront that leads to the load balancer")


def test_an_account_in_which_no_public_address_is_found_fails(monkeypatch):
    monkeypatch.setattr(checks, "CONCERNS", (public.concern,))
    report = checks.check(Unaddressed(), {})
    assert {it.requirement.id: it.status for it in report.results} == dict.fromkeys(
        BROKEN, Status.FAIL
    )
    assert report.address is None
    assert "there should be a distribution" in report.results[0].evidence[0].what
