"""Who may change the total."""

import base64
import inspect

import httpx
import pytest

from tally.web import auth as guard

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
        assert "hmac.compare_digest(" in inspect.getsource(guard.require_token)
