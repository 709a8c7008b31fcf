"""SECURITY.md: its figures are those of the code, and the tests that it names exist."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from tally import settings
from tally.ledger.resets import MAX_LISTED
from tally.ledger.writer import MAX_BATCH_VALUES
from tally.services import display, events
from tally.settings import Settings
from tally.web import auth, exchange, framing, head, lingering_close, log, protocol, request, server
from tests.support.documents import exists, named_tests
from tests.support.paths import ROOT

PAGE = (ROOT / "SECURITY.md").read_text()
LIMITS = PAGE.partition("## Limits\n")[2].partition("\n## ")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in LIMITS.splitlines()
    if line.startswith("| ") and not line.startswith(("| what |", "| ---"))
]
KIB, MIB = 1024, 1024 * 1024


def size(number: int) -> str:
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if number % unit == 0:
            return f"{number // unit:,} {name}"
    return f"{number:,} bytes"


def seconds(number: float) -> str:
    return f"{number / 3600:g} h" if number >= 3600 else f"{number:g} s"


def memory() -> str:
    unit = (ROOT / "deploy/adder/machine/etc/systemd/system/tally-adder.service").read_text()
    compose = (ROOT / "deploy/containers/compose.yaml").read_text()
    # systemd and Docker both count in powers of 1024.
    found = {
        *re.findall(r"^MemoryMax=(\d+)M$", unit, re.MULTILINE),
        *re.findall(r"^ +mem_limit: (\d+)m$", compose, re.MULTILINE),
    }
    [number] = found
    return f"{number} MiB"


DEFAULTS = Settings()
# Made of others, or for the moments in which a service stops or writes its log again.
DERIVED = {
    "framing.MAX_RECEIVED",
    "head.MAX_REQUEST_LINE",
    "lingering_close.MAX_SECONDS_WHEN_STOPPING",
    "log.RETRY_SECONDS",
    "server._GRACE_SECONDS",
}
# The page's rows, each with what the code has.
IN_THE_CODE = {
    "URL": size(head.MAX_URL),
    "header fields": f"{head.MAX_HEADERS}",
    "all header fields": size(head.MAX_FIELDS),
    "a head that has no end yet": size(head.MAX_HEAD),
    "a head's time": seconds(protocol.HEAD_SECONDS),
    "body": size(request.MAX_BODY),
    "a body's time": seconds(request.BODY_SECONDS),
    "bodies together": size(request.MAX_HELD),
    "chunks of a body": f"{framing.MAX_CHUNKS:,}",
    "a chunk's size and extensions": size(framing.MAX_SIZE_LINE),
    "trailers": size(framing.MAX_TRAILERS),
    "what chunks add to a body": size(framing.MAX_FRAMING),
    # By its design; the row's test holds it.
    "requests at a time, of a connection": "1",
    "connections": f"{DEFAULTS.max_connections:,}",
    "memory, in a container of compose or on the adder's machine": memory(),
    "an idle connection": seconds(server.KEEP_ALIVE_SECONDS),
    "an answer of which nothing is taken": seconds(exchange.STALL_SECONDS),
    "what is sent on after an answer that closes": (
        f"{size(lingering_close.MAX_BYTES)}, {seconds(lingering_close.MAX_SECONDS)}"
    ),
    "waiting for the database": seconds(DEFAULTS.request_timeout),
    "exports": f"{display.MAX_EXPORTS}",
    "an export's time": seconds(display.EXPORT_SECONDS),
    "event streams": f"{DEFAULTS.max_viewers:,}",
    "a stream's time": seconds(events.STREAM_SECONDS),
    "values that wait to be stored": f"{DEFAULTS.queue_limit:,}",
    "values of a request": f"{MAX_BATCH_VALUES:,}",
    "entries or resets of a page": f"{display.MAX_LIMIT:,}",
    "fields of a form": f"{request.MAX_FORM_FIELDS}",
    # Python's, which differs from version to version.
    "nesting of JSON": "as deep as Python's decoder goes",
    "`Idempotency-Key`": f"{request.MAX_KEY} characters",
    "a token": f"{settings.MIN_TOKEN} to {settings.MAX_TOKEN} characters",
    "a wrong token": seconds(auth.PAUSE_SECONDS),
    "lines of the log that nobody takes": size(log.MAX_WAITING),
}


def test_each_limit_is_the_one_in_the_code() -> None:
    assert {what: limit for what, limit, *_ in ROWS} == IN_THE_CODE
    assert MAX_LISTED == display.MAX_LIMIT, "one row is of both"


def test_every_bound_of_the_web_layer_is_a_row() -> None:
    """A new one is noticed: each constant of these modules that bounds a client stands above."""
    modules = (auth, exchange, framing, head, lingering_close, log, protocol, request, server)
    bounds = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in modules
        for name in re.findall(
            r"^(MAX_\w+|\w+_SECONDS): Final", Path(str(module.__file__)).read_text(), re.MULTILINE
        )
    }
    here = Path(__file__).read_text()
    assert {bound for bound in bounds - DERIVED if not re.search(rf"{bound}\b", here)} == set()


def test_each_setting_of_a_limit_can_be_set() -> None:
    known = {f"TALLY_{field.name.upper()}" for field in fields(Settings)}
    named = set(re.findall(r"`(TALLY_\w+)`", " ".join(row[2] for row in ROWS)))
    assert named <= known
    assert len(named) == 4


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_limit_has_a_test(row) -> None:
    assert len(row) == 5
    assert named_tests(row[4])


def test_every_test_that_is_named_exists() -> None:
    named = named_tests(PAGE)
    assert len(named) > len(ROWS)
    assert [test for test in named if not exists(test)] == []


def test_so_many_tokens_can_be_guessed() -> None:
    a_second = DEFAULTS.max_connections / auth.PAUSE_SECONDS
    assert f"guessed: {a_second:,.0f} a second" in PAGE


def test_the_firewall_s_figure_is_that_of_the_deployment() -> None:
    firewall = (ROOT / "infra/firewall.tf").read_text()
    assert "requests_per_address = 6000\n" in firewall
    assert "evaluation_window_sec = 300\n" in firewall
    assert "6,000 requests in five minutes" in PAGE
