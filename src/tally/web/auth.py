"""Who may change the total: nobody through another site's page, and with a token if it is set."""

import asyncio
import base64
import hmac
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers

from tally.web.hosts import Hosts
from tally.web.problem import Problem

# A wrong token is answered only after so many seconds, on a connection that does nothing else. The
# right one never waits, so that nobody who guesses can keep others out.
PAUSE_SECONDS: Final = 1.0


class Access:
    """The rules of one service."""

    def __init__(self, realm: str, token: str | None, hosts: Hosts) -> None:
        self._token = token
        self._hosts = hosts
        self._challenge = f'Basic realm="{realm}", charset="UTF-8", Bearer realm="{realm}"'

    async def authorize(self, headers: Headers) -> None:
        """Raise 403 or 401 for a change that is not allowed."""
        self._refuse_cross_site(headers)
        if self._has_token(headers):
            return
        if "authorization" in headers:
            await asyncio.sleep(PAUSE_SECONDS)
        raise Problem(
            401,
            "this needs the token, as a Bearer token or as the password of HTTP Basic",
            rule="token",
            headers={"WWW-Authenticate": self._challenge},
        )

    def plainly_allows(self, headers: Mapping[bytes, bytes]) -> bool:
        """Tell at a glance that `authorize` would allow; where this says False, ask that.

        These are its rules, written a second time for the fast path.
        """
        return not (b"sec-fetch-site" in headers or b"origin" in headers) and (
            self._token is None
            or hmac.compare_digest(
                headers.get(b"authorization", b""), b"Bearer " + self._token.encode()
            )
        )

    def _refuse_cross_site(self, headers: Headers) -> None:
        """Raise 403 for a change that a browser sends on behalf of another site's page.

        Browsers set both headers and pages can't forge them; programs that are not browsers, and
        so hold nobody's credentials by accident, send neither.
        """
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            allowed = site in ("same-origin", "none")
        else:
            allowed = origin is None or self._hosts.own(origin, headers.get("host"))
        if not allowed:
            where = f", and this came from {origin!r}" if origin else ""
            raise Problem(
                403,
                f"pages of other sites can't change the total{where}: if that is where Tally is"
                " served, add it to TALLY_HOSTS",
                rule="cross-site",
            )

    def _has_token(self, headers: Headers) -> bool:
        if self._token is None:
            return True
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        given = credentials.strip()
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[2]
            except ValueError:  # not base64, not ASCII or not UTF-8
                given = ""
        elif scheme.lower() != "bearer":
            given = ""
        return hmac.compare_digest(given.encode(), self._token.encode())
