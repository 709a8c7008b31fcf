"""The balancer's rules: who gets which path, and what it must not do to requests and answers."""

import contextlib
import json
from http.client import HTTPConnection
from urllib.parse import urlsplit

import httpx
import pytest

ENTRIES = "/adder_service/entries"
NOT_FOUND = (
    "There is nothing here."
    " The services are at /adder_service, /display_service and /reset_service."
)


def handled(containers, path: str) -> list[str]:
    """The services whose log shows a request with this id."""
    return [service for service, container in containers.items() if path in container.logs()]


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/", "display"),
        ("/openapi.json", "display"),
        ("/display_service", "display"),
        ("/display_service/total", "display"),
        ("/display_service/static/tally.css", "display"),
        ("/adder_service", "adder"),
        ("/adder_service/static/tally.css", "adder"),
        ("/adder_service/nothing", "adder"),
        ("/adder_services", "adder"),
        ("/reset_service", "reset"),
        ("/reset_service/resets", "reset"),
    ],
)
def test_each_path_goes_to_its_service(server, containers, path: str, service: str) -> None:
    request_id = f"path-{path.replace('/', '-')}"
    answer = httpx.get(f"{server.url}{path}", headers={"X-Request-Id": request_id})
    assert answer.status_code != 503
    assert answer.headers["x-request-id"] == request_id
    assert handled(containers, f'"{request_id}"') == [service]


@pytest.mark.parametrize(
    "path", ["/favicon.ico", "/openapi.json/x", "/admin", "/other_service", "/static/tally.css"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_everything_else_is_a_fixed_404(server, containers, path: str, method: str) -> None:
    answer = httpx.request(method, f"{server.url}{path}", headers={"X-Request-Id": "elsewhere"})
    assert (answer.status_code, answer.text) == (404, NOT_FOUND)
    assert answer.headers["content-type"] == "text/plain"
    assert handled(containers, '"elsewhere"') == []


def test_events_are_not_held_back(server) -> None:
    with (
        httpx.Client(base_url=server.url) as client,
        # A buffer would wait for kilobytes, and heartbeats bring those in an hour.
        httpx.stream("GET", f"{server.url}/display_service/events", timeout=60) as stream,
    ):
        lines = stream.iter_lines()
        for _ in range(3):
            added = client.post(ENTRIES, json={"value": 1}).json()
            while True:
                line = next(lines)
                if line.startswith("data: "):
                    total = json.loads(line.removeprefix("data: "))
                    if total.get("last_id", 0) >= added["id"]:
                        break


def test_bodies_up_to_the_limit_pass_and_larger_ones_get_the_services_own_answer(server) -> None:
    most = 1024 * 1024
    body = b'{"value": 1' + b" " * (most - 12) + b"}"
    headers = {"Content-Type": "application/json"}
    assert len(body) == most
    taken = httpx.post(f"{server.url}{ENTRIES}", content=body, headers=headers)
    assert taken.status_code == 201
    # The head alone: the service refuses by it and closes. A client that goes on sending may see
    # the connection reset before the answer.
    with contextlib.closing(HTTPConnection(urlsplit(server.url).netloc, timeout=60)) as connection:
        connection.putrequest("POST", ENTRIES)
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(most + 1))
        connection.endheaders()
        refused = connection.getresponse()
        assert (refused.status, json.load(refused)["rule"]) == (413, "body-too-large")


def test_long_heads_get_the_services_own_answer(server) -> None:
    long = httpx.get(f"{server.url}/display_service/total?{'x' * 9000}")
    assert (long.status_code, long.json()["rule"]) == (414, "url-too-long")
    many = httpx.get(f"{server.url}/display_service/total", headers={"X-Long": "x" * 33_000})
    assert (many.status_code, many.json()["rule"]) == (431, "headers-too-large")


def test_pages_of_this_address_may_change_the_total(server) -> None:
    """The service sees the address that the browser sees, so it can tell its own pages."""
    own = httpx.post(f"{server.url}{ENTRIES}", json={"value": 1}, headers={"Origin": server.url})
    assert own.status_code == 201
    other = httpx.post(
        f"{server.url}{ENTRIES}", json={"value": 1}, headers={"Origin": "http://other.example"}
    )
    assert other.status_code == 403
