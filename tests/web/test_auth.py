"""Authentication and CSRF."""

import asyncio
import base64
import inspect

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from tally.web import auth
from tally.web.auth import Access
from tally.web.hosts import Hosts

ADD, RESET = "add-secret-of-16", "reset-secret-of-16"
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
    return tally_up(TALLY_ADD_TOKEN=ADD, TALLY_RESET_TOKEN=RESET)


class TestTokens:
    @staticmethod
    def basic(password: str) -> str:
        return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()

    @pytest.mark.parametrize(
        "authorization",
        [
            None,
            "Bearer wrong",
            f"Bearer {RESET}",
            "Bearer",
            "Basic !!!",
            "Basic /w==",
            ADD,
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
        for authorization in (f"Bearer {ADD}", f"bearer {ADD}", self.basic(ADD)):
            headers = {"Authorization": authorization}
            assert httpx.post(url, json={"value": 1}, headers=headers).status_code == 201
        resets = f"{locked.url}/reset_service/resets"
        assert httpx.post(resets, headers={"Authorization": f"Bearer {ADD}"}).status_code == 401
        key = {"Authorization": self.basic(RESET)}
        made = httpx.post(resets, headers=key)
        assert made.status_code == 201
        assert httpx.delete(f"{resets}/{made.json()['id']}").status_code == 401
        assert httpx.delete(f"{resets}/{made.json()['id']}", headers=key).status_code == 200

    def test_it_is_never_logged(self, locked) -> None:
        for token in (ADD, RESET, self.basic(ADD)[6:]):
            assert token not in locked.log.read_text()

    def test_it_is_compared_in_constant_time(self) -> None:
        assert "hmac.compare_digest(" in inspect.getsource(Access._has_token)

    def test_each_service_challenges_with_a_realm_of_its_own(self, locked) -> None:
        paths = ("/adder_service/entries", "/reset_service/resets")
        asked = {httpx.post(locked.url + path).headers["WWW-Authenticate"] for path in paths}
        assert len(asked) == 2

    def test_a_form_that_is_refused_keeps_what_was_typed(self, locked) -> None:
        form = {"value": "12.75", "key": "k"}
        page = httpx.post(f"{locked.url}/adder_service", data=form)
        assert page.status_code == 401
        assert 'value="12.75"' in page.text
        assert "token" in page.text
        origin = {"Origin": "https://tally.example.com"}
        page = httpx.post(f"{locked.url}/adder_service", data=form, headers=origin)
        assert page.status_code == 403
        assert 'value="12.75"' in page.text
        assert "TALLY_HOSTS" in page.text


async def test_every_wrong_token_waits_and_the_right_one_never_does(clock, monkeypatch) -> None:
    pause = 1000 * auth.PAUSE_SECONDS  # so long that a busy machine does not matter
    monkeypatch.setattr(auth, "PAUSE_SECONDS", pause)
    access = Access("test", ADD, Hosts())
    wrong = Headers({"authorization": "Bearer wrong"})
    # However many: who is answered sooner than others has guessed sooner.
    waiting = [asyncio.create_task(access.authorize(wrong)) for _ in range(5000)]
    await clock.advance(0.9 * pause)
    assert not any(task.done() for task in waiting)
    await access.authorize(Headers({"authorization": f"Bearer {ADD}"}))
    await clock.advance(0.2 * pause)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {problem.status for problem in outcomes} == {401}


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
async def test_what_is_plainly_allowed_is_allowed(case) -> None:
    token, headers = case
    access = Access("test", token, Hosts())
    if access.plainly_allows(headers):
        await access.authorize(Headers(raw=list(headers.items())))


@given(TOKENS)
def test_the_plainest_change_is_plainly_allowed(token) -> None:
    access = Access("test", token, Hosts())
    headers = {} if token is None else {b"authorization": b"Bearer " + token.encode()}
    assert access.plainly_allows(headers)
    assert not access.plainly_allows({**headers, b"origin": b"null"})


@given(st.binary(), TOKENS.filter(bool))
def test_no_other_token_is_plainly_allowed(authorization, token) -> None:
    if authorization != b"Bearer " + token.encode():
        access = Access("test", token, Hosts())
        assert not access.plainly_allows({b"authorization": authorization})
