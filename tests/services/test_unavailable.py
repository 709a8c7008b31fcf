"""What PostgreSQL's errors do to each service: its answers, its readiness, and how it recovers.

A fault makes the server raise each kind of error where a service does its work; a situation is one
that administrators and failovers bring about. Neither stores anything, nor outlasts its end.
"""

import httpx
import pytest

from tests.support.http import ENTRIES
from tests.support.postgres import SERVICES, execute, with_database
from tests.support.processes import wait_for

RESETS = "/reset_service/resets"
TOTAL = "/display_service/total"
DATABASE = "tally_unavailable"

# Raises what it is told to, within each service's work and nobody else's.
FAULTS = """
    CREATE SCHEMA fault;
    GRANT USAGE ON SCHEMA fault TO PUBLIC;
    CREATE FUNCTION fault.allowed() RETURNS bool LANGUAGE sql AS 'SELECT true';
    CREATE FUNCTION fault.trigger() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN PERFORM fault.allowed(); RETURN new; END';
    CREATE TRIGGER fault BEFORE INSERT ON tally.entry EXECUTE FUNCTION fault.trigger();
    CREATE TRIGGER fault BEFORE INSERT ON tally.reset EXECUTE FUNCTION fault.trigger();
    CREATE TRIGGER fault BEFORE INSERT ON tally.empty_reset EXECUTE FUNCTION fault.trigger();
    ALTER TABLE tally.total ENABLE ROW LEVEL SECURITY;
    CREATE POLICY display ON tally.total TO tally_display USING (fault.allowed());
    CREATE POLICY others ON tally.total TO tally_adder, tally_reset USING (true);
"""
RAISE = """
    CREATE OR REPLACE FUNCTION fault.allowed() RETURNS bool LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'made to fail' USING ERRCODE = '{}'; END $$
"""
PASS = """
    CREATE OR REPLACE FUNCTION fault.allowed() RETURNS bool LANGUAGE sql AS 'SELECT true'
"""
CUT = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE usename = '{role}'"

# What an error means: another connection may serve, so the service tries again until the request's
# time is over; somebody has to mend something, so it says so at once; or it is a bug.
AGAIN, REFUSED = "the database did not answer in time", "the database refuses"
STATES = {
    # Of connections, transactions, resources, interventions, the system, and PostgreSQL itself.
    "08000 08003 08006 08P01 0A000 24000 25000 25001 25006 25P01 25P02 25P03 25P04 26000": AGAIN,
    "34000 40000 40001 40003 40P01 42P03 42P05 53000 53100 53200 53300 53400 55000 55006": AGAIN,
    "57000 57014 57P01 57P02 57P03 57P04 57P05 58000 58030 58P01 58P02 F0000 72000 XX000": AGAIN,
    # Of logins, databases, schemas, rights, and what is not there.
    "0L000 0P000 28000 28P01 3D000 3F000 42501 42601 42703 42704 42804 42883 42P01": REFUSED,
}
STATES = {state: said for states, said in STATES.items() for state in states.split()}

# Errors that say nothing of the commit before them, as a pooler gives them.
OPEN = {("unknown", state) for state in ("08000", "08003", "08006", "08P01", "40003")}

# (what brings it about, what ends it), as the database's owner; the former may be met by new
# sessions only.
SITUATIONS = {
    "the role may not log in": ("ALTER ROLE {role} NOLOGIN", "ALTER ROLE {role} LOGIN"),
    "the role has no session left": (
        "ALTER ROLE {role} CONNECTION LIMIT 0",
        "ALTER ROLE {role} CONNECTION LIMIT 50",
    ),
    "the database has no session left": (
        "ALTER DATABASE {database} CONNECTION LIMIT 0",
        "ALTER DATABASE {database} CONNECTION LIMIT -1",
    ),
    "no right to connect": (
        "REVOKE CONNECT ON DATABASE {database} FROM {role}, PUBLIC",
        "GRANT CONNECT ON DATABASE {database} TO {role}, PUBLIC",
    ),
    "the schema is gone": (
        "ALTER SCHEMA tally RENAME TO away",
        "ALTER SCHEMA away RENAME TO tally",
    ),
    "the total is gone": (
        "ALTER TABLE tally.total RENAME TO away",
        "ALTER TABLE tally.away RENAME TO total",
    ),
    "no right to the schema": (
        "REVOKE USAGE ON SCHEMA tally FROM {role}",
        "GRANT USAGE ON SCHEMA tally TO {role}",
    ),
}


@pytest.fixture(scope="module")
def services(postgres_server, tally_up):
    """All three, each under its role, with little patience; their ledger can be made to fail."""
    execute(postgres_server.admin_url, f"CREATE DATABASE {DATABASE}")

    def url(role):
        server = postgres_server
        return with_database(server.url(role) if role else server.admin_url, DATABASE)

    running = tally_up(
        TALLY_DATABASE_URL=url(None),
        **{f"TALLY_{name.upper()}_DATABASE_URL": url(f"tally_{name}") for name in SERVICES},
        TALLY_REQUEST_TIMEOUT="0.5",
    )
    execute(url(None), FAULTS)
    with httpx.Client(base_url=running.url, timeout=60) as client:
        yield client, lambda *statements: execute(url(None), *statements)
    running.stop()
    execute(postgres_server.admin_url, f"DROP DATABASE {DATABASE} WITH (FORCE)")


def work(client, service, **headers):
    """What a service is for."""
    match service:
        case "adder":
            return client.post(ENTRIES, json={"value": 1}, headers=headers)
        case "reset":
            return client.post(RESETS, headers=headers)
    return client.get(TOTAL)


def recovered(client, service):
    """Whether a service works and is ready, without being started again."""
    done = work(client, service).status_code in (200, 201)
    return done and client.get(f"/{service}_service/readyz").status_code == 200


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("state", STATES)
def test_an_error_is_no_answer_and_leaves_no_trace(services, state, service) -> None:
    client, execute_here = services
    wait_for(lambda: all(recovered(client, name) for name in SERVICES))
    before = client.get(TOTAL).json()
    execute_here(RAISE.format(state))
    try:
        answer = work(client, service)
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["Retry-After"]) >= 1
        said = answer.json()
        assert said["detail"].startswith(STATES[state])
        assert said["outcome"] == "not stored" or (said["outcome"], state) in OPEN
        assert client.get(f"/{service}_service/readyz").status_code == 503
        if service != "display":
            keyed = work(client, service, **{"Idempotency-Key": f"{service}-{state}"})
            assert (keyed.status_code, keyed.json()["outcome"]) == (503, "unknown")
    finally:
        execute_here(PASS)
    wait_for(lambda: client.get(TOTAL).is_success)
    assert client.get(TOTAL).json() == before
    wait_for(lambda: recovered(client, service))


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_situation_ends_without_a_restart(services, situation, service) -> None:
    client, execute_here = services
    wait_for(lambda: recovered(client, service))
    names = {"role": f"tally_{service}", "database": DATABASE}
    begin, end = (statement.format(**names) for statement in SITUATIONS[situation])
    execute_here(begin, CUT.format(**names))
    try:
        answer = work(client, service)
        assert (answer.status_code, answer.json()["outcome"]) == (503, "not stored"), answer.text
        assert client.get(f"/{service}_service/readyz").status_code == 503
    finally:
        execute_here(end)
    wait_for(lambda: recovered(client, service))


def test_a_plan_that_no_longer_fits_is_made_again(services) -> None:
    """Somebody changes a table under sessions that have prepared statements."""
    client, execute_here = services
    for service in SERVICES:
        wait_for(lambda name=service: recovered(client, name))
    execute_here("ALTER TABLE tally.total ALTER count TYPE numeric")
    try:
        assert work(client, "display").status_code == 200
    finally:
        execute_here("ALTER TABLE tally.total ALTER count TYPE bigint")
    wait_for(lambda: all(recovered(client, service) for service in SERVICES))
