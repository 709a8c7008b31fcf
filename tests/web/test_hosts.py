"""Which names Tally is served under."""

import httpx
import pytest

from tally.web.hosts import Hosts
from tests.support.http import ENTRIES

OURS = ["localhost", "LOCALHOST:8080", "tally.localhost", "127.0.0.1:1", "[::1]:8080", "10.1.2.3"]
OTHERS = [
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "x",
]


@pytest.mark.parametrize("host", OURS)
def test_this_machine_s_names_and_addresses_are_answered(client, host) -> None:
    assert client.get("/display_service/total", headers={"Host": host}).status_code == 200
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert client.post(ENTRIES, json={"value": 1}, headers=headers).status_code == 201


@pytest.mark.parametrize("path", ["/display_service/total", "/", "/adder_service", "/nowhere"])
@pytest.mark.parametrize("host", OTHERS)
def test_another_name_that_points_here_gets_nothing(client, host, path) -> None:
    headers = {"Host": host, "Origin": f"http://{host}"}
    answer = client.get(path, headers=headers)
    assert (answer.status_code, answer.json()["rule"]) == (421, "host")
    assert "TALLY_HOSTS" in answer.json()["detail"]


@pytest.mark.parametrize("host", OTHERS)
def test_another_name_that_points_here_changes_nothing(client, count, host) -> None:
    before = count()
    headers = {"Host": host, "Origin": f"http://{host}"}
    for asked in (
        client.post(ENTRIES, json={"value": 1}, headers={"Host": host}),
        client.post(ENTRIES, json={"value": 1}, headers=headers),
        client.post("/adder_service", data={"value": "1", "key": "k"}, headers=headers),
        client.post("/reset_service/resets", headers=headers),
    ):
        assert asked.status_code == 421
    assert count() == before


def test_a_name_that_is_set_is_answered_and_its_pages_may_change_the_total(tally_up) -> None:
    running = tally_up(TALLY_HOSTS="tally.example.com, other.example:8443")
    with httpx.Client(base_url=running.url) as client:
        for host, origin, status in (
            ("tally.example.com", "https://tally.example.com", 201),
            ("tally.example.com:8080", None, 201),
            ("other.example", "https://other.example:8443", 201),
            # A proxy that ends TLS and gives its own name for the service.
            ("127.0.0.1:8080", "https://tally.example.com", 201),
            ("127.0.0.1:8080", "https://evil.example", 403),
            ("tally.example.com", "https://evil.example", 403),
            ("evil.example", "https://evil.example", 421),
        ):
            headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
            answer = client.post(ENTRIES, json={"value": 1}, headers=headers)
            assert answer.status_code == status, (host, origin)
    running.stop()


def test_any_name_can_be_allowed() -> None:
    assert Hosts(["*"]).allows(b"anything.example")
    assert not Hosts(["*"]).own("https://evil.example", "anything.example")
