"""What only a request can show: the public address, asked as anybody would."""

import http.client
import json
import socket
import ssl
import warnings
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import NotFound, Resource
from tally.aws.requirement import Concern, Evidence, LookAtOne, NotApplicable, Verdict

concern = Concern("Public address")

# Seconds for one answer; a service that takes longer is as good as away.
_PATIENCE: Final = 10.0
# Each service's own paths, and what its answer is to hold.
_PAGES: Final = {
    "/": "text/html",
    "/adder_service": "text/html",
    "/display_service": "text/html",
    "/reset_service": "text/html",
    "/display_service/total": "application/json",
}
_NOWHERE: Final = ("/nothing", "/admin", "/adder")
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


def _ask(aws: Inventory, path: str, *, secure: bool = True) -> tuple[int, dict[str, str], bytes]:
    """Send one GET; give status, headers in lower case, and body."""
    host, port = _host(aws)
    connection = (
        http.client.HTTPSConnection(host, port, timeout=_PATIENCE, context=aws.new_trust())
        if secure
        else http.client.HTTPConnection(host, aws.plain_port, timeout=_PATIENCE)
    )
    try:
        connection.request("GET", path, headers={"User-Agent": "tally-check"})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read(65536)
    finally:
        connection.close()


def _pages(aws: Inventory) -> list[tuple[str, Resource]]:
    return [(address(aws) + path, {"Path": path, "Type": kind}) for path, kind in _PAGES.items()]


def _nowhere(aws: Inventory) -> list[tuple[str, Resource]]:
    return [(address(aws) + path, {"Path": path}) for path in _NOWHERE]


def _plain(aws: Inventory) -> list[tuple[str, Resource]]:
    return [(address(aws).replace("https:", "http:", 1), {"Path": "/display_service"})]


def _asking(look: LookAtOne) -> LookAtOne:
    """Say what went wrong where there is no answer."""

    def ask(aws: Inventory, page: Resource) -> Verdict:
        try:
            return look(aws, page)
        except (OSError, http.client.HTTPException) as error:
            return False, f"{type(error).__name__}: {error}"

    return ask


@concern.requires(
    "public-pages", "The https address is trusted, and every service answers there"
).each(_pages)
@_asking
def _serves(aws: Inventory, page: Resource) -> Verdict:
    status, headers, body = _ask(aws, page["Path"])
    found = headers.get("content-type", "nothing")
    good = status == http.HTTPStatus.OK and found.startswith(page["Type"])
    return good and (page["Type"] == "text/html" or _has_sum(body)), f"{status} {found}"


def _has_sum(body: bytes) -> bool:
    try:
        return "sum" in json.loads(body)
    except ValueError:
        return False


@concern.requires("public-redirect", "Plain http is redirected to https").each(_plain)
@_asking
def _redirects(aws: Inventory, page: Resource) -> Verdict:
    status, headers, _ = _ask(aws, page["Path"], secure=False)
    target = headers.get("location", "nowhere")
    good = status in (301, 302, 307, 308) and target.startswith("https://")
    return good, f"{status} to {target}"


@concern.requires("public-404", "Paths of no service get 404").each(_nowhere)
@_asking
def _refuses(aws: Inventory, page: Resource) -> Verdict:
    status, _, _ = _ask(aws, page["Path"])
    return status == http.HTTPStatus.NOT_FOUND, str(status)


@concern.requires("public-tls", "Services answer over TLS 1.2 and 1.3 and over nothing older")
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
