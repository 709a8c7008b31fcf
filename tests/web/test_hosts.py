"""Which names Tally is served under."""

import httpx
import pytest

from tally.web.hosts import Hosts
from tests.support.http import ENTRIES

# Beside what is set here.
SET = ["tally.example.com", "Other.Example:8443", "[2001:db8::1]:8443"]
OURS = [
    "localhost",
    "LOCALHOST:8080",
    "localhost.",
    "tally.localhost",
    "127.0.0.1:1",
    "[::1]:8080",
    "[2001:db8::2]",
    "10.1.2.3",
    "tally.example.com",
    "Tally.Example.Com:8080",
    "other.example",
    "other.example.:1",
]
OTHERS = [
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evillocalhost",
    "[evil.example]",
    "x",
    "",
]


@pytest.mark.parametrize(("host", "ours"), [(it, it in OURS) for it in [*OURS, *OTHERS]])
def test_this_machine_s_names_and_addresses_and_those_that_are_set_are_answered(host, ours) -> None:
    assert Hosts(SET).allows(host.encode()) == ours
    assert Hosts(SET).allows(host.encode()) == ours, "the same when asked again"


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://localhost:8080", "localhost:8080", True),
        ("http://localhost:8080", "localhost", False),
        ("https://tally.example.com", "10.0.0.1", True),
        ("https://Other.Example:8443", None, True),
        ("https://other.example", None, False),
        ("https://evil.example", "localhost", False),
        ("null", None, False),
        ("http://", "", False),
        ("://localhost", "localhost", False),
    ],
)
def test_an_origin_is_own_where_the_request_went_there_or_it_is_set(origin, host, own) -> None:
    assert Hosts(SET).own(origin, host) == own


EVIL = {"Host": "evil.example", "Origin": "http://evil.example"}


@pytest.mark.parametrize("path", ["/display_service/total", "/", "/adder_service", "/nowhere"])
def test_another_name_that_points_here_gets_nothing(client, path) -> None:
    answer = client.get(path, headers=EVIL)
    assert (answer.status_code, answer.json()["rule"]) == (421, "host")
    assert "TALLY_HOSTS" in answer.json()["detail"]


def test_another_name_that_points_here_changes_nothing(client, count) -> None:
    before = count()
    for asked in (
        client.post(ENTRIES, json={"value": 1}, headers={"Host": "evil.example"}),
        client.post(ENTRIES, json={"value": 1}, headers=EVIL),
        client.post("/adder_service", data={"value": "1", "key": "k"}, headers=EVIL),
        client.post("/reset_service/resets", headers=EVIL),
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
