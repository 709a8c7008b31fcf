"""`tally up` and `tally serve`: what keeps them from starting, and how `up` stops."""

import signal

import httpx

from tests.support.command import refusal, run


def test_taken_port(server) -> None:
    port = server.url.rpartition(":")[2]
    done = run("serve", "all", "--port", port, TALLY_DATABASE_URL="postgresql:///x")
    assert "choose another port" in refusal(done, 1)


def test_data_directory_in_use(server) -> None:
    done = run("up", "--port", "0", TALLY_DATA_DIR=str(server.folder / "data"))
    assert "in use" in refusal(done, 3)


def test_serve_needs_a_database_url() -> None:
    assert "TALLY_DATABASE_URL must be set" in refusal(run("serve", "adder"), 2)


def test_up_with_a_service_s_database_needs_the_owner_s() -> None:
    done = run("up", TALLY_ADDER_DATABASE_URL="postgresql:///x")
    assert "the owner's" in refusal(done, 2)


def test_bad_setting() -> None:
    assert "TALLY_PORT" in refusal(run("up", TALLY_PORT="http"), 2)


def test_up_stops_cleanly_on_ctrl_c_and_keeps_the_data(tally_up) -> None:
    first = tally_up()
    entries = f"{first.url}/adder_service/entries"
    assert httpx.post(entries, json={"value": "41.5"}).status_code == 201
    assert first.stop(signal.SIGINT) == 0
    second = tally_up(first.folder)
    assert httpx.get(f"{second.url}/display_service/total").json()["sum"] == "41.5"
    assert second.stop(signal.SIGTERM) == 0
