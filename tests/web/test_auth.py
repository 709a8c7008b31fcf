"""Authentication and CSRF."""

import base64
import inspect

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from tally.web import auth
from tally.web.problem import Problem

CHANGES = [
    ("POST", "/adder_service/entries"),
    ("POST", "/adder_service"),
    ("POST", "/reset_service/resets"),
    ("POST", "/reset_service"),
    ("DELETE", "/reset_service/resets/1"),
]


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_changes_from_other_sites_are_refused(client, count, method, path, headers) -> None:
    before = count()
    response = client.request(method, path, headers=headers)
    assert (response.status_code, response.json()["rule"]) == (403, "cross-site")
    assert count() == before


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_changes_from_own_pages_are_taken(add, client, site) -> None:
    assert add(1, **{"Sec-Fetch-Site": site}).status_code == 201
    origin = str(client.base_url).rstrip("/")
    assert add(1, Origin=origin).status_code == 201
    assert add(1, **{"Sec-Fetch-Site": site, "Origin": "null"}).status_code == 201


@pytest.fixture(scope="module")
def locked(tally_up):
    """A Tally whose operator has set both tokens."""
    return tally_up(TALLY_ADD_TOKEN="add-secret", TALLY_RESET_TOKEN="reset-secret")


class TestTokens:
    @staticmethod
    def basic(password: str) -> str:
        return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()

    @pytest.mark.parametrize(
        "authorization",
        [
            None,
            "Bearer wrong",
            "Bearer reset-secret",
            "Bearer",
            "Basic !!!",
            "Basic /w==",
            "add-secret",
        ],
    )
    def test_without_it_nothing_changes(self, locked, authorization) -> None:
        headers = {} if authorization is None else {"Authorization": authorization}
        for path in ("/adder_service/entries", "/adder_service"):
            response = httpx.post(locked.url + path, json={"value": 1}, headers=headers)
            assert (response.status_code, response.json()["rule"]) == (401, "token")
            assert response.headers["WWW-Authenticate"].startswith("Basic realm=")
            assert "Bearer" in response.headers["WWW-Authenticate"]
        assert httpx.get(f"{locked.url}/display_service/total").json()["last_id"] == 0

    def test_with_it_each_does_its_own(self, locked) -> None:
        url = f"{locked.url}/adder_service/entries"
        for authorization in ("Bearer add-secret", "bearer add-secret", self.basic("add-secret")):
            headers = {"Authorization": authorization}
            assert httpx.post(url, json={"value": 1}, headers=headers).status_code == 201
        resets = f"{locked.url}/reset_service/resets"
        assert httpx.post(resets, headers={"Authorization": "Bearer add-secret"}).status_code == 401
        key = {"Authorization": self.basic("reset-secret")}
        made = httpx.post(resets, headers=key)
        assert made.status_code == 201
        assert httpx.delete(f"{resets}/{made.json()['id']}").status_code == 401
        assert httpx.delete(f"{resets}/{made.json()['id']}", headers=key).status_code == 200

    def test_it_is_never_logged(self, locked) -> None:
        for token in ("add-secret", "reset-secret", self.basic("add-secret")[6:]):
            assert token not in locked.log.read_text()

    def test_it_is_compared_in_constant_time(self) -> None:
        assert "hmac.compare_digest(" in inspect.getsource(auth.require_token)


TOKENS = st.none() | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)


@st.composite
def near_the_rules(draw):
    """A token, and headers that are right or almost: as the parser gives them."""
    token = draw(TOKENS)
    given = draw(st.sampled_from([token or "", f"{token}x", f" {token}", ""]) | st.text("aA !"))
    headers = {}
    if draw(st.booleans()):
        scheme = draw(st.sampled_from(["Bearer", "bearer", "Basic", "", "Bearer "]))
        headers["authorization"] = f"{scheme} {given}"
    sites = {"sec-fetch-site": ["same-origin", "none", "cross-site", ""], "origin": ["null", ""]}
    for name, values in sites.items():
        if draw(st.integers(0, 3)) == 0:
            headers[name] = draw(st.sampled_from(values))
    return token, {name.encode(): value.encode() for name, value in headers.items()}


@given(near_the_rules())
def test_what_is_plainly_allowed_is_allowed(case) -> None:
    token, headers = case
    if auth.plainly_allowed(headers, token):
        auth.authorize(Headers(raw=list(headers.items())), token)


@given(TOKENS)
def test_the_plainest_change_is_plainly_allowed(token) -> None:
    headers = {} if token is None else {b"authorization": b"Bearer " + token.encode()}
    assert auth.plainly_allowed(headers, token)
    assert not auth.plainly_allowed({**headers, b"origin": b"null"}, token)


@given(st.binary(), TOKENS.filter(bool))
def test_no_other_token_is_plainly_allowed(authorization, token) -> None:
    headers = {b"authorization": authorization}
    if authorization != b"Bearer " + token.encode():
        assert not auth.plainly_allowed(headers, token)
    with pytest.raises(Problem):
        auth.require_token(Headers({}), token)
