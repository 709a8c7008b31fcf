"""Any PostgreSQL from 14 on will do: here the distribution's, reached by TALLY_DATABASE_URL."""

import os
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.support.distribution_postgres import serving


@pytest.fixture
def other_postgres() -> Iterator[str]:
    with serving() as url:
        yield url


def test_everything_works_on_it(other_postgres: str, tally_up) -> None:
    running = tally_up(TALLY_DATABASE_URL=other_postgres)
    assert not (running.folder / "data").exists(), "nothing embedded is started"
    with httpx.Client(base_url=running.url) as http:
        entries, resets = "/adder_service/entries", "/reset_service/resets"
        key = {"Idempotency-Key": "a"}
        for _ in range(2):
            added = http.post(entries, json={"values": ["0.1", 0.2]}, headers=key)
            assert added.json()["sum"] == "0.3"
        made = http.post(resets).json()
        http.post(entries, json={"value": 5})
        assert http.delete(f"{resets}/{made['id']}").status_code == 200
        assert http.get("/display_service/total").json()["sum"] == "5.3"
        assert http.get("/display_service").status_code == 200
        assert http.get("/display_service/entries.csv").text.count("\n") == 4
    audit = subprocess.run(
        [sys.executable, "-m", "tally", "audit"],
        env={**os.environ, "TALLY_DATABASE_URL": other_postgres},
        capture_output=True,
        text=True,
        check=True,
    )
    assert audit.stdout == "clean: 3 entries checked\n"
    assert running.stop() == 0
