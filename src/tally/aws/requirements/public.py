"""What only a request can show: the public address, asked as anybody would."""

import http.client
import json
import re
import warnings
from collections.abc import Iterator
from ssl import TLSVersion
from typing import Final
from urllib.parse import urlsplit

from tally.aws.inventory import Inventory
from tally.aws.inventory.resources import Resource
from tally.aws.predicates import matches
from tally.aws.requirement import Concern, NotApplicable, Resources

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
# How a handshake fails, and what the load balancer answers to what CloudFront says is too old.
_REFUSED: Final = re.compile("^(SSL|ConnectionResetError|RemoteDisconnected|403 )")


def address(aws: Inventory) -> str:
    """The https address to ask; raise `NotApplicable` for an emulator, which can have none."""
    if aws.address is not None:
        return aws.address
    if aws.emulated:
        raise NotApplicable("an emulator has no public address (--address gives one)")
    return f"https://{aws.public_host}"


def _answers(*paths: str, secure: bool = True, over: TLSVersion | None = None) -> Resources:
    """What is answered at each path, in words; over one version of TLS, if one is given."""

    def ask(aws: Inventory) -> Iterator[tuple[str, Resource]]:
        base = address(aws) if secure else address(aws).replace("https:", "http:", 1)
        for path in paths:
            subject = f"{base}{path} over {over.name}" if over else base + path
            connection = _connection(aws, secure, over)
            try:
                yield subject, {"Answer": _ask(connection, path)}
            except (OSError, http.client.HTTPException) as error:
                yield subject, {"Answer": f"{type(error).__name__}: {error}"}
            finally:
                connection.close()

    return ask


def _connection(
    aws: Inventory, secure: bool, over: TLSVersion | None
) -> http.client.HTTPConnection:
    parts = urlsplit(address(aws))
    host = parts.hostname or ""
    if not secure:
        return http.client.HTTPConnection(host, aws.plain_port, timeout=_PATIENCE)
    context = aws.new_trust()
    if over:
        # This side has to be willing, or a refusal would prove nothing.
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = over
    return http.client.HTTPSConnection(host, parts.port, timeout=_PATIENCE, context=context)


def _ask(connection: http.client.HTTPConnection, path: str) -> str:
    connection.request("GET", path, headers={"User-Agent": "tally-check"})
    answer = connection.getresponse()
    text = f"{answer.status} {answer.headers.get('Content-Type', 'nothing')}"
    if target := answer.headers.get("Location"):
        text += f" to {target}"
    return text + (" with a sum" if _has_sum(answer.read(65536)) else "")


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
_tls = requires("public-tls", "Services answer over TLS 1.2 and 1.3 and over nothing older")
for _version in (TLSVersion.TLSv1, TLSVersion.TLSv1_1):
    _tls.field(_answers("/display_service", over=_version), "Answer", matches(_REFUSED, "refused"))
for _version in (TLSVersion.TLSv1_2, TLSVersion.TLSv1_3):
    _tls.field(_answers("/display_service", over=_version), "Answer", matches(_HTML, "a page"))
