"""What only a request can show: the public address, asked as anybody would."""

import http.client
import json
import re
import socket
import ssl
import warnings
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import NotFound, Resource
from tally.aws.predicates import matches
from tally.aws.requirement import Concern, Evidence, NotApplicable, Resources

concern = Concern("Public address")
requires = concern.requires

# Seconds for one answer; a service that takes longer is as good as away.
_PATIENCE: Final = 10.0
_PAGES: Final = ("/", "/adder_service", "/display_service", "/reset_service")
_TOTAL: Final = "/display_service/total"
_HTML: Final = re.compile("^200 text/html")
_SUM: Final = re.compile("^200 application/json.* with a sum$")
_NOT_FOUND: Final = re.compile("^404 ")
_TO_HTTPS: Final = re.compile("^30[1278] .* to https://")
_OLD: Final = (("TLS 1.0", ssl.TLSVersion.TLSv1), ("TLS 1.1", ssl.TLSVersion.TLSv1_1))
_NEW: Final = (("TLS 1.2", ssl.TLSVersion.TLSv1_2), ("TLS 1.3", ssl.TLSVersion.TLSv1_3))


def address(aws: Inventory) -> str:
    """The https address to ask; raise `NotApplicable` for an emulator, which can have none."""
    if aws.address is not None:
        return aws.address
    if aws.emulated:
        raise NotApplicable("an emulator has no public address (--address gives one)")
    if aws.public_host is None:
        raise NotFound("a public address: CloudFront's, or the certificate's")
    return f"https://{aws.public_host}"


def _host(aws: Inventory) -> tuple[str, int]:
    parts = urlsplit(address(aws))
    return parts.hostname or "", parts.port or 443


def _answers(*paths: str, secure: bool = True) -> Resources:
    """What is answered at each path: the status, the type, and what else counts, in words."""

    def ask(aws: Inventory) -> Iterator[tuple[str, Resource]]:
        plain = address(aws).replace("https:", "http:", 1)
        for path in paths:
            subject = (address(aws) if secure else plain) + path
            try:
                yield subject, _ask(aws, path, secure=secure)
            except (OSError, http.client.HTTPException) as error:
                yield subject, {"Answer": f"{type(error).__name__}: {error}"}

    return ask


def _ask(aws: Inventory, path: str, *, secure: bool) -> Resource:
    host, port = _host(aws)
    connection = (
        http.client.HTTPSConnection(host, port, timeout=_PATIENCE, context=aws.new_trust())
        if secure
        else http.client.HTTPConnection(host, aws.plain_port, timeout=_PATIENCE)
    )
    try:
        connection.request("GET", path, headers={"User-Agent": "tally-check"})
        answer = connection.getresponse()
        text = f"{answer.status} {answer.headers.get('Content-Type', 'nothing')}"
        if target := answer.headers.get("Location"):
            text += f" to {target}"
        return {"Answer": text + (" with a sum" if _has_sum(answer.read(65536)) else "")}
    finally:
        connection.close()


def _has_sum(body: bytes) -> bool:
    try:
        found = json.loads(body)
    except ValueError:
        return False
    return isinstance(found, dict) and "sum" in found


_pages = requires("public-pages", "The https address is trusted, and every service answers there")
_pages.field(_answers(*_PAGES), "Answer", matches(_HTML, "a page"))
_pages.field(_answers(_TOTAL), "Answer", matches(_SUM, "JSON with a sum"))
requires("public-redirect", "Plain http is redirected to https").field(
    _answers("/display_service", secure=False), "Answer", matches(_TO_HTTPS, "a redirect to https")
)
requires("public-404", "Paths of no service get 404").field(
    _answers("/nothing", "/admin", "/adder"), "Answer", matches(_NOT_FOUND, "404")
)


@requires("public-tls", "Services answer over TLS 1.2 and 1.3 and over nothing older")
def _versions(aws: Inventory) -> Iterator[Evidence]:
    host, port = _host(aws)
    for name, version in (*_OLD, *_NEW):
        status = _status_over(aws, host, port, version)
        old = (name, version) in _OLD
        good = status in (None, http.HTTPStatus.FORBIDDEN) if old else status == http.HTTPStatus.OK
        found = "no connection" if status is None else f"answers {status}"
        yield Evidence(f"{host}:{port} over {name}", good, found)


def _status_over(aws: Inventory, host: str, port: int, version: ssl.TLSVersion) -> int | None:
    """The status of a request over one version of TLS, or None where it is not spoken."""
    context = aws.new_trust()
    # This side has to be willing, or a refusal would prove nothing.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    request = f"GET /display_service HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    try:
        with (
            socket.create_connection((host, port), timeout=_PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            secure.sendall(request.encode())
            answer = b""
            while b"\r\n" not in answer and (piece := secure.recv(4096)):
                answer += piece
    except (ssl.SSLError, ConnectionResetError):
        return None
    return int(answer.split()[1]) if answer else None
