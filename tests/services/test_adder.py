"""The adder: its form, a full queue, and clients that go away."""

import asyncio
import re
import secrets

import httpx
import pytest

from tests.support.http import ENTRIES, connect
from tests.support.postgres import urls_of

HEAD = (
    b"POST /adder_service/entries HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
)


async def test_a_full_queue_is_refused_at_once(database, tally_up) -> None:
    running = tally_up(
        **urls_of(database[0]),
        TALLY_QUEUE_LIMIT="10",
        TALLY_REQUEST_TIMEOUT="3",
    )
    database[0].stop()
    async with httpx.AsyncClient(base_url=running.url, timeout=60) as http:
        # The first leaves the queue for the batch that waits for the database; the second fills it.
        full = {"values": [1] * 10}
        waiting = []
        for _ in range(2):
            waiting.append(asyncio.create_task(http.post(ENTRIES, json=full)))
            await asyncio.sleep(0.5)
        response = await http.post(ENTRIES, json={"value": 2})
        assert not any(full.done() for full in waiting), "refused at once, while those still wait"
        assert (response.status_code, response.json()["outcome"]) == (503, "not stored")
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {503}
    running.stop()


def test_clients_that_hang_up_lose_nothing_of_others(server, add, count) -> None:
    before = count()
    whole = HEAD + b'Content-Length: 12\r\n\r\n{"value": 1}'
    for _ in range(50):
        with connect(server) as connection:
            connection.sendall(whole)
        assert add(1).status_code == 201
    assert 50 <= count() - before <= 100


def test_the_form_shows_what_its_key_added(client) -> None:
    key = re.search('name="key" value="([^"]+)"', client.get("/adder_service").text)[1]
    answer = client.post("/adder_service", data={"value": " 2.50 ", "key": key})
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"adder_service?added={key}"
    page = client.get(answer.headers["Location"]).text
    assert 'id="added"' in page
    assert 'value="2.5"' in page
    other = f"form-{secrets.token_urlsafe(16)}"
    assert 'id="added"' not in client.get(f"/adder_service?added={other}").text


@pytest.mark.parametrize("key", ["order-1", "form-of-a-test"])
def test_an_address_tells_nothing_of_a_key_that_can_be_guessed(client, add, key) -> None:
    assert add(2.5, **{"Idempotency-Key": key}).status_code == 201
    assert 'id="added"' not in client.get(f"/adder_service?added={key}").text


def test_a_form_that_was_used_is_refused(client) -> None:
    form = {"value": "1", "key": "used-form"}
    assert client.post("/adder_service", data=form).status_code == 303
    assert client.post("/adder_service", data=form).status_code == 303
    answer = client.post("/adder_service", data={**form, "value": "2"})
    assert answer.status_code == 422
    assert "already used" in answer.text
