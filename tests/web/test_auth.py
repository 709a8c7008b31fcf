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
from tally.web.problem import Problem

ADD, RESET = "add-secret-of-16", "reset-secret-of-16"
CHANGES = [
    ("POST", "/adder_service/entries"),
    ("POST", "/adder_service"),
    ("POST", "/reset_service/resets"),
    ("POST", "/reset_service"),
    ("DELETE", "/reset_service/resets/1"),
]


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_changes_from_other_sites_are_refused(client, count, method, path) -> None:
    before = count()
    response = client.request(method, path, headers={"Origin": "https://evil.example"})
    assert (response.status_code, response.json()["rule"]) == (403, "cross-site")
    assert count() == before


async def refusal(access: Access, **headers: str) -> tuple[int, str | None] | None:
    """Ask for a change; give the status and the rule if it is refused."""
    try:
        await access.authorize(
            Headers({name.replace("_", "-"): value for name, value in headers.items()})
        )
    except Problem as problem:
        return problem.status, problem.rule
    return None


@pytest.mark.parametrize(
    ("site", "origin", "taken"),
    [
        (None, None, True),
        ("same-origin", None, True),
        ("none", None, True),
        ("same-origin", "null", True),
        ("same-site", None, False),
        ("cross-site", None, False),
        ("", None, False),
        ("cross-site", "http://localhost:8080", False),
        (None, "http://localhost:8080", True),
        (None, "https://tally.example.com", True),
        (None, "http://localhost", False),
        (None, "https://evil.example", False),
        (None, "null", False),
        (None, "", False),
    ],
)
async def test_a_browser_changes_from_own_pages_alone(site, origin, taken) -> None:
    headers = {"host": "localhost:8080"}
    headers |= {} if site is None else {"sec_fetch_site": site}
    headers |= {} if origin is None else {"origin": origin}
    access = Access("test", None, Hosts(["tally.example.com"]))
    assert await refusal(access, **headers) == (None if taken else (403, "cross-site"))


def basic(credentials: str | bytes, scheme: str = "Basic") -> str:
    data = credentials.encode() if isinstance(credentials, str) else credentials
    return f"{scheme} {base64.b64encode(data).decode()}"


@pytest.mark.parametrize(
    ("authorization", "taken"),
    [
        (f"Bearer {ADD}", True),
        (f"bearer  {ADD} ", True),
        (basic(f"anyone:{ADD}"), True),
        (basic(f":{ADD}", "bASIC"), True),
        (None, False),
        (f"Bearer {RESET}", False),
        ("Bearer", False),
        ("", False),
        (ADD, False),
        (f"Digest {ADD}", False),
        (f"Basic {ADD}", False),
        (basic(ADD), False),
        (basic(f"{ADD}:"), False),
        (basic(f"anyone:{ADD}").replace("b", "!b", 1), False),
        (basic(b"\xff:" + ADD.encode()), False),
    ],
)
async def test_the_token_is_a_bearer_token_or_a_password(monkeypatch, authorization, taken) -> None:
    monkeypatch.setattr(auth, "PAUSE_SECONDS", 0)
    headers = {} if authorization is None else {"authorization": authorization}
    access = Access("test", ADD, Hosts())
    assert await refusal(access, **headers) == (None if taken else (401, "token"))


async def test_a_token_may_have_a_colon() -> None:
    access = Access("test", "sixteen:or:more:", Hosts())
    assert await refusal(access, authorization=basic("me:sixteen:or:more:")) is None


async def test_who_is_refused_is_told_how_to_ask() -> None:
    with pytest.raises(Problem) as caught:
        await Access("test", ADD, Hosts()).authorize(Headers())
    challenge = 'Basic realm="test", charset="UTF-8", Bearer realm="test"'
    assert caught.value.headers == {"WWW-Authenticate": challenge}
    with pytest.raises(Problem, match=r"and this came from 'null': .* add it to TALLY_HOSTS"):
        await Access("test", None, Hosts()).authorize(Headers({"origin": "null"}))
    with pytest.raises(Problem, match=r"^pages of other sites can't change the total: "):
        await Access("test", None, Hosts()).authorize(Headers({"sec-fetch-site": "cross-site"}))


@pytest.fixture(scope="module")
def locked(tally_up):
    """A Tally whose operator has set both tokens."""
    return tally_up(TALLY_ADD_TOKEN=ADD, TALLY_RESET_TOKEN=RESET)


class TestTokens:
    @pytest.mark.parametrize("authorization", [None, f"Bearer {RESET}"])
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
        for authorization in (f"Bearer {ADD}", f"bearer {ADD}", basic(f"anyone:{ADD}")):
            headers = {"Authorization": authorization}
            assert httpx.post(url, json={"value": 1}, headers=headers).status_code == 201
        resets = f"{locked.url}/reset_service/resets"
        assert httpx.post(resets, headers={"Authorization": f"Bearer {ADD}"}).status_code == 401
        key = {"Authorization": basic(f"anyone:{RESET}")}
        made = httpx.post(resets, headers=key)
        assert made.status_code == 201
        assert httpx.delete(f"{resets}/{made.json()['id']}").status_code == 401
        assert httpx.delete(f"{resets}/{made.json()['id']}", headers=key).status_code == 200

    def test_it_is_never_logged(self, locked) -> None:
        for token in (ADD, RESET, basic(f"anyone:{ADD}")[6:]):
            assert token not in locked.log.read_text()

    def test_it_is_compared_in_constant_time(self) -> None:
        for compares in (Access._has_token, Access.plainly_allows):
            assert "hmac.compare_digest(" in inspect.getsource(compares)

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
