"""What only a request can show, asked of the real services behind a real https address.

A small proxy stands in for CloudFront or the load balancer: it ends TLS, redirects plain http, and
answers 404 where no service has a path.
"""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
import threading
import warnings
from dataclasses import dataclass, field

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tally.aws.account import Account
from tally.aws.requirement import NotApplicable
from tally.aws.rows import public

PATHS = ("/adder_service", "/display_service", "/reset_service")


@dataclass
class Edge:
    """What the proxy does; each field can be set to what is wrong."""

    upstream: str
    folder: object
    redirects: bool = True
    refuses: bool = True
    oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    trusted: bool = True
    ports: list[int] = field(default_factory=list)

    def account(self):
        account = Account(
            "tally",
            address=f"https://localhost:{self.ports[0]}",
            authorities=self.folder / "authority.pem" if self.trusted else None,
        )
        account.plain_port = self.ports[1]
        return account

    async def serve(self, reader, writer, *, secure):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split()[1].decode()
            writer.write(await self.answer(path, secure=secure))
            await writer.drain()
        writer.close()

    async def answer(self, path, *, secure):
        if not secure and self.redirects:
            location = f"https://localhost:{self.ports[0]}{path}"
            return (
                f"HTTP/1.1 301 Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
            )
        if self.refuses and path != "/" and not path.startswith(PATHS):
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        asked = path if path == "/" or path.startswith(PATHS) else "/"
        async with httpx.AsyncClient() as client:
            answer = await client.get(self.upstream + asked, follow_redirects=True)
        kind = answer.headers.get("content-type", "")
        head = f"HTTP/1.1 {answer.status_code} -\r\nContent-Type: {kind}\r\nConnection: close\r\n"
        return f"{head}Content-Length: {len(answer.content)}\r\n\r\n".encode() + answer.content

    @contextlib.contextmanager
    def running(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.pem")
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            # What is old on purpose is deprecated.
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = self.oldest
        context.maximum_version = self.newest
        loop = asyncio.new_event_loop()

        async def start():
            for secure in (True, False):
                server = await asyncio.start_server(
                    lambda r, w, secure=secure: self.serve(r, w, secure=secure),
                    "localhost",
                    0,
                    ssl=context if secure else None,
                )
                self.ports.append(server.sockets[0].getsockname()[1])
                servers.append(server)

        servers = []
        loop.run_until_complete(start())
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        yield self
        for server in servers:
            loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


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
            return stack.enter_context(Edge(upstream, certificates, **wrong).running())

        yield start


def failed(account):
    """The requirements that are not met, with why."""
    seen = {it.id: list(it.look(account)) for it in public.concern.requirements}
    assert all(seen.values())
    return {
        name: [it for it in found if not it.good]
        for name, found in seen.items()
        if not all(it.good for it in found)
    }


# What to set wrong, by the requirement that has to fail for it.
BROKEN = {
    "public-redirect": {"redirects": False},
    "public-404": {"refuses": False},
    "public-tls": {"oldest": ssl.TLSVersion.TLSv1},
    "public-pages": {"trusted": False},
}


def test_an_address_that_is_as_it_should_be_passes(edge):
    assert failed(edge().account()) == {}


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
        public.address(Account("tally"))
    assert public.address(Account("tally", address="https://a.example")) == "https://a.example"
