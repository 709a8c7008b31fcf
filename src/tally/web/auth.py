"""Authentication by a token, if one is set, and CSRF: no other site's page changes the total."""

import base64
import hmac
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers

from tally.web.problem import Problem

_CHALLENGE: Final = 'Basic realm="Tally", charset="UTF-8", Bearer realm="Tally"'


def authorize(headers: Headers, token: str | None) -> None:
    """Raise 403 or 401 for a change that is not allowed."""
    refuse_cross_site(headers)
    require_token(headers, token)


def plainly_allowed(headers: Mapping[bytes, bytes], token: str | None) -> bool:
    """Tell at a glance that `authorize` would allow; where this says False, ask that.

    These are its rules, written a second time for the fast path.
    """
    return not (b"sec-fetch-site" in headers or b"origin" in headers) and (
        token is None
        or hmac.compare_digest(headers.get(b"authorization", b""), b"Bearer " + token.encode())
    )


def refuse_cross_site(headers: Headers) -> None:
    """Raise 403 for a change that a browser sends on behalf of another site's page.

    Browsers set both headers and pages can't forge them; programs that are not browsers, and
    so hold nobody's credentials by accident, send neither.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        allowed = site in ("same-origin", "none")
    else:
        origin = headers.get("origin")
        allowed = origin is None or origin.partition("://")[2] == headers.get("host")
    if not allowed:
        raise Problem(403, "pages of other sites can't change the total", rule="cross-site")


def require_token(headers: Headers, token: str | None) -> None:
    """Raise 401 unless the token, when one is set, comes as Bearer or as Basic's password."""
    if token is None:
        return
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    given = credentials.strip()
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:  # not base64, not ASCII or not UTF-8
            given = ""
    elif scheme.lower() != "bearer":
        given = ""
    if not hmac.compare_digest(given.encode(), token.encode()):
        raise Problem(
            401,
            "this needs the token, as a Bearer token or as the password of HTTP Basic",
            rule="token",
            headers={"WWW-Authenticate": _CHALLENGE},
        )
