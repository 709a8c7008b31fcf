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


def test_an_undo_adds_the_opposite_once(client, add) -> None:
    added = add("12.5").json()
    first = client.post(f"{ENTRIES}/{added['id']}/undo")
    again = client.post(f"{ENTRIES}/{added['id']}/undo", json={})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert (first.json()["value"], first.json()["undoes"]) == ("-12.5", added["id"])
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    undo, undone = client.get("/display_service/entries?limit=2").json()["entries"]
    assert (undo["undoes"], undone["undone_by"]) == (undone["id"], undo["id"])


def test_an_undo_that_is_refused_says_why(client, add) -> None:
    entry_id = add().json()["id"]
    client.post("/reset_service/resets")
    for asked, status, rule in (
        (entry_id, 409, "entry-cleared"),
        (entry_id + 1, 404, "no-such-entry"),
        (0, 404, "no-such-entry"),
    ):
        problem = client.post(f"{ENTRIES}/{asked}/undo").json()
        assert (problem["status"], problem["rule"]) == (status, rule)
    answer = client.post(f"{ENTRIES}/{entry_id}/undo", json={"id": 1})
    assert (answer.status_code, answer.json()["rule"]) == (422, "unknown-field")


def test_an_undo_needs_what_adding_needs(tally_up) -> None:
    running = tally_up(TALLY_ADD_TOKEN="secret-of-adding-1")
    with httpx.Client(base_url=running.url) as client:
        given = {"Authorization": "Bearer secret-of-adding-1"}
        entry_id = client.post(ENTRIES, json={"value": 1}, headers=given).json()["id"]
        refused = client.post(f"{ENTRIES}/{entry_id}/undo")
        assert (refused.status_code, refused.json()["rule"]) == (401, "token")
        crossing = {**given, "Origin": "https://elsewhere.example"}
        assert client.post(f"{ENTRIES}/{entry_id}/undo", headers=crossing).status_code == 403
        assert client.post(f"{ENTRIES}/{entry_id}/undo", headers=given).status_code == 201
    running.stop()


def test_the_form_undoes_an_entry_once(client, add, count) -> None:
    number = add(2.5).json()["id"]
    before = count()
    for _ in range(2):
        answer = client.post("/adder_service", data={"undo": number})
        assert answer.status_code == 200
        assert f"Undid entry {number} · Tally" in answer.text
        assert 'value="-2.5"' in answer.text
        assert count() == before + 1
    gone = client.post("/adder_service", data={"undo": 10**17})
    assert (gone.status_code, "There is no entry" in gone.text) == (409, True)


def test_the_form_undoes_a_batch_once_and_all_of_it_or_none(client, count) -> None:
    added = client.post(ENTRIES, json={"values": ["1", "2.5", "-4"]}).json()
    client.post(f"{ENTRIES}/{added['first_id']}/undo")
    before, form = count(), {"undo": added["first_id"], "through": added["last_id"]}
    for _ in range(2):  # pressed twice, or reloaded
        answer = client.post("/adder_service", data=form)
        assert answer.status_code == 200
        ids = f"{added['first_id']} to {added['last_id']}"
        assert f"Undid entries {ids} · Tally" in answer.text
        assert count() == before + 2
    newest = client.get("/display_service/total").json()["last_id"]
    beyond = {"undo": newest, "through": newest + 1}
    for refused, status in ((beyond, 409), ({"undo": 1, "through": 1001}, 422)):
        answer = client.post("/adder_service", data=refused)
        assert (answer.status_code, "Nothing changed" in answer.text) == (status, True)
        assert count() == before + 2


def form_key(client) -> str:
    return re.search('name="key" value="([^"]+)"', client.get("/adder_service").text)[1]


@pytest.mark.parametrize(
    ("typed", "value"),
    [("1 234,5", "1234.5"), ("−3", "-3"), ("1.234.567", "1234567"), ("12,5", "12.5")],
)
def test_what_people_type_is_shown_back_as_understood(client, typed, value) -> None:
    answer = client.post("/adder_service", data={"value": typed, "key": form_key(client)})
    page = client.get(answer.headers["Location"]).text
    assert re.search(f'Added <data [^>]*value="{value}"', page)


@pytest.mark.parametrize(("comma", "value"), [("thousands", "1000"), ("point", "1")])
def test_a_comma_that_may_be_either_is_asked_for(client, count, comma, value) -> None:
    before, form = count(), {"value": "1,000", "key": form_key(client)}
    asked = client.post("/adder_service", data=form)
    assert (asked.status_code, count()) == (422, before)
    assert re.findall('name="comma" value="([a-z]+)"', asked.text) == ["thousands", "point"]
    assert f'name="key" value="{form["key"]}"' in asked.text
    answer = client.post("/adder_service", data={**form, "comma": comma})
    assert f'value="{value}"' in client.get(answer.headers["Location"]).text
    assert count() == before + 1


def test_several_values_are_shown_with_their_sum_and_added_together(client, count) -> None:
    before, form = count(), {"values": "1\r\n\r\n2,5\r\n−3\r\n", "key": form_key(client)}
    review = client.post("/adder_service", data=form)
    assert (review.status_code, count()) == (200, before)
    assert 'name="sure" value="0.5"' in review.text
    # What was changed meanwhile is shown anew.
    changed = client.post("/adder_service", data={**form, "values": "1\n2", "sure": "0.5"})
    assert 'name="sure" value="3"' in changed.text
    answer = client.post("/adder_service", data={**form, "sure": "0.5"})
    assert "Added 3 values · Tally" in client.get(answer.headers["Location"]).text
    assert count() == before + 3


@pytest.mark.parametrize(
    ("name", "text", "total"),
    [
        ("prices.csv", "name;value\r\ntea;1.5\r\nrent;-1000\r\n", "-998.5"),
        ("prices.txt", "1\n2\n\n3\n", "6"),
        ("prices.NDJSON", '{"value": 3}\n"4"\n', "7"),
    ],
)
def test_a_file_is_read_as_the_command_reads_it(client, count, name, text, total) -> None:
    before, form = count(), {"values": text, "file": name, "key": form_key(client)}
    review = client.post("/adder_service", data=form)
    assert f'name="sure" value="{total}"' in review.text
    assert count() == before
    # From here on it is a value in each line, as it was understood.
    read = re.search("<textarea[^>]*>([^<]*)</textarea>", review.text)[1]
    answer = client.post("/adder_service", data={"values": read, "sure": total, "key": form["key"]})
    assert "They brought the total to" in client.get(answer.headers["Location"]).text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.000\n", "no other value tells which: say --decimal"),
        ("a,b\nx,y\n", "none is named value"),
        ("PK\x03\x04", "is a workbook or another zip file"),
        ("value\nx\n", "prices.csv, line 2: column"),
    ],
)
def test_a_file_that_may_mean_two_things_is_refused_whole(client, count, text, said) -> None:
    before = count()
    form = {"values": text, "file": "prices.csv", "key": form_key(client)}
    answer = client.post("/adder_service", data=form)
    assert (answer.status_code, count()) == (422, before)
    assert said in answer.text
    assert ("paste the column" in answer.text) == ("--" in said or "named" in said)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("1\nx\n2\n1e3", ["The value in line 2 must be", "The value in line 4 must be"]),
        ("x\n" * 8, ["The value in line 5 must be", "And 3 more."]),
        (" \n\n", ["There is no value yet"]),
        ("1\n" * 10_001, ["These are 10001 values, and at most 10000"]),
    ],
)
def test_of_several_values_all_are_added_or_none(client, count, values, said) -> None:
    before = count()
    form = {"values": values, "sure": "10001", "key": form_key(client)}
    answer = client.post("/adder_service", data=form)
    assert (answer.status_code, count()) == (422, before)
    assert all(text in answer.text for text in said)
