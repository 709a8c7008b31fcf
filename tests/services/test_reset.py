"""Reset: clears the total, and gives it back."""


def test_a_reset_and_its_undo_by_the_page_s_forms(client, add) -> None:
    add(3)
    answer = client.post("/reset_service", data={"action": "reset", "key": "reset-form"})
    assert answer.status_code == 303
    assert "Cleared" in client.get(answer.headers["Location"]).text
    number = answer.headers["Location"].rpartition("=")[2]
    answer = client.post("/reset_service", data={"action": "undo", "id": number})
    assert answer.headers["Location"] == f"reset_service?undone={number}"
    # Sent once more it says the same: it was undone once, and stays so.
    again = client.post("/reset_service", data={"action": "undo", "id": number})
    assert again.headers["Location"] == answer.headers["Location"]
    assert "came back" in client.get(answer.headers["Location"]).text


def test_an_address_tells_what_became_of_a_form(client, add) -> None:
    add(3)
    asked = "/reset_service?cleared=reset-asked"
    assert "notice good" not in client.get(asked).text
    answer = client.post("/reset_service", data={"action": "reset", "key": "reset-asked"})
    number = answer.headers["Location"].rpartition("=")[2]
    assert "Cleared" in client.get(asked).text
    undone = f"/reset_service?undone={number}"
    assert "came back" not in client.get(undone).text
    client.post("/reset_service", data={"action": "undo", "id": number})
    assert "came back" in client.get(undone).text
    assert "came back" in client.get(asked).text


def test_an_undo_asks_first_and_only_of_the_newest_reset(client, add) -> None:
    made = []
    for value in (4, 5):
        add(value)
        made.append(client.post("/reset_service/resets").json()["id"])
    older, newest = made
    page = client.get(f"/reset_service?undo={newest}").text
    assert f"Undo reset {newest}?" in page
    assert client.get("/display_service/total").json()["sum"] == "0"
    assert "Only the newest reset can be undone" in client.get(f"/reset_service?undo={older}").text
    answer = client.post("/reset_service", data={"action": "undo", "id": str(older)})
    assert answer.status_code == 409


def test_a_form_that_is_not_the_page_s_is_refused_on_the_page(client) -> None:
    answer = client.post("/reset_service", data={"action": "reset", "key": "k", "more": "1"})
    assert answer.status_code == 422
    assert "The form is not one of this page" in answer.text


def test_a_reset_with_a_key_is_made_once(client) -> None:
    made = [
        client.post("/reset_service/resets", headers={"Idempotency-Key": "reset-once"})
        for _ in range(2)
    ]
    assert made[0].json() == made[1].json()
    assert "undone_at" not in made[0].json()
    assert [answer.headers.get("Idempotency-Replayed") for answer in made] == [None, "true"]


def test_a_reset_takes_no_fields(client) -> None:
    answer = client.post("/reset_service/resets", json={"all": True})
    assert (answer.status_code, answer.json()["rule"]) == (422, "unknown-field")
