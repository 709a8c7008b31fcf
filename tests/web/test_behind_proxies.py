"""What a proxy takes for one request is one request: nothing is smuggled past it."""

import itertools
import json
from collections.abc import Iterator

import httpx
import pytest

from tests.support.http import ENTRIES
from tests.support.http11_cases import CASES, Case, Then, get
from tests.support.processes import wait_for
from tests.support.proxies import MARK, PROXIES, proxy_before
from tests.support.wire import exchange, read_answers

LAST = get("Connection: close").encode()
# 5xx that say what the client did; any other is a fault of ours.
BLAMELESS = {501, 505}
numbers = itertools.count()


@pytest.mark.parametrize("name", PROXIES)
def test_nothing_is_smuggled_past_a_proxy(server, client, name) -> None:
    with proxy_before(server, name) as proxy:
        found = [
            f"{case.id}: {fault}" for case in CASES for fault in faults(server, client, proxy, case)
        ]
    assert found == []


def faults(server, client: httpx.Client, proxy, case: Case) -> Iterator[str]:
    start = server.log.stat().st_size
    cut = case.right.then is Then.CUT
    try:
        received = exchange(proxy, [case.sent if cut else case.sent + LAST], half_close=cut)
    except AssertionError as error:
        received = b""
        yield str(error)

    # Connections to Tally are shared: what this one left there, the next client would get.
    [next_one] = read_answers(exchange(proxy, [LAST]), ["GET"])
    if next_one.status != 200 or "count" not in json.loads(next_one.body):
        yield f"the next client got {next_one}"

    lines = lines_until_now(server, client, start)
    added = [it["request_id"] for it in lines if it.get("status") == 201]
    if unmarked := [it for it in added if not it.startswith(MARK)]:
        yield f"unseen by the proxy: {unmarked}"
    if len(added) > received.count(b" 201 Created\r\n"):
        yield f"{len(added)} were carried out, and the client got {received!r}"
    if failed := [it for it in lines if it.get("status", 200) not in range(200, 500)]:
        yield from (str(it) for it in failed if it["status"] not in BLAMELESS)


def lines_until_now(server, client: httpx.Client, start: int) -> list[dict]:
    """What Tally logged since its log had this size; it logs each request as it answers it."""
    name = f"until-{next(numbers)}"
    answer = client.post(ENTRIES, json={"value": 1}, headers={"X-Request-Id": name})
    assert answer.status_code == 201

    def new() -> list[dict]:
        with server.log.open("rb") as log:
            log.seek(start)
            return [json.loads(line) for line in log if line.endswith(b"\n")]

    wait_for(lambda: any(it.get("request_id") == name for it in new()), said=f"for {name}")
    return list(itertools.takewhile(lambda it: it.get("request_id") != name, new()))
