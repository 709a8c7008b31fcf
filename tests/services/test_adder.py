"""The adder: its form, a full queue, and clients that go away."""

import asyncio

import httpx

from tests.support.http import ENTRIES, connect
from tests.support.postgres import urls_of

HEAD = b"POST /adder_service/entries HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


async def test_a_full_queue_is_refused_at_once(database, tally_up) -> None:
    running = tally_up(
        **urls_of(database[0]),
        TALLY_QUEUE_LIMIT="10",
        TALLY_REQUEST_TIMEOUT="3",
    )
    database[0].stop()
    async with httpx.AsyncClient(base_url=running.url, timeout=20) as http:
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
    form = {"value": " 2.50 ", "key": "form-of-a-test"}
    answer = client.post("/adder_service", data=form)
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/adder_service?added=form-of-a-test"
    page = client.get(answer.headers["Location"]).text
    assert 'id="added"' in page
    assert 'value="2.5"' in page
    assert 'id="added"' not in client.get("/adder_service?added=another-key").text


def test_a_form_that_was_used_is_refused(client) -> None:
    form = {"value": "1", "key": "used-form"}
    assert client.post("/adder_service", data=form).status_code == 303
    assert client.post("/adder_service", data=form).status_code == 303
    answer = client.post("/adder_service", data={**form, "value": "2"})
    assert answer.status_code == 422
    assert "already used" in answer.text
