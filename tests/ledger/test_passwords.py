"""`tally migrate` sets the roles' passwords: shown on a server that asks for them."""

import base64
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import pytest

from tally.embedded import postgres
from tally.ledger import scram
from tally.ledger.roles import ROLES
from tally.settings import PASSWORD_ROLES
from tests.support.postgres import with_database


@pytest.fixture(scope="module")
def strict_server():
    """A server of its own, because roles belong to a whole server: the owner alone is trusted."""
    folder = Path(tempfile.mkdtemp(prefix="tally-passwords-"))
    folder.chmod(0o755)
    with postgres.start(folder / "data") as server:
        rules = server.directory / "cluster" / "pg_hba.conf"
        rules.write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        subprocess.run(["kill", "-HUP", str(server.pid)], check=True)
        yield server
    shutil.rmtree(folder, ignore_errors=True)


def migrate(server, **passwords):
    return subprocess.run(
        [sys.executable, "-m", "tally", "migrate"],
        env={**os.environ, "TALLY_DATABASE_URL": server.admin_url, **passwords},
        capture_output=True,
        text=True,
        check=False,
    )


async def may_log_in(server, role, password):
    try:
        connection = await asyncpg.connect(server.url(role), password=password)
    except asyncpg.InvalidPasswordError:
        return False
    await connection.close()
    return True


def test_every_role_can_be_given_a_password():
    assert set(PASSWORD_ROLES) == set(ROLES)


@pytest.mark.parametrize("role", PASSWORD_ROLES)
async def test_a_role_logs_in_with_the_password_that_was_set_last(strict_server, role):
    variable = f"{role.upper()}_PASSWORD"
    for password, older in (("first-!\"$%'\\", "none"), ("second", "first-!\"$%'\\")):
        done = migrate(strict_server, **{variable: password})
        assert done.returncode == 0, done.stderr
        assert await may_log_in(strict_server, role, password)
        assert not await may_log_in(strict_server, role, older)


async def test_a_role_that_no_password_is_given_for_keeps_its_own(strict_server):
    migrate(strict_server, TALLY_ADDER_PASSWORD="kept", TALLY_RESET_PASSWORD="also")
    assert migrate(strict_server, TALLY_RESET_PASSWORD="new").returncode == 0
    assert await may_log_in(strict_server, "tally_adder", "kept")
    assert await may_log_in(strict_server, "tally_reset", "new")


async def test_an_older_release_leaves_a_newer_schema_and_sets_passwords(strict_server):
    """So that a deployment can be rolled back, also together with new passwords."""
    migrate(strict_server, TALLY_ADDER_PASSWORD="old")
    owner = await asyncpg.connect(strict_server.admin_url)
    revision = await owner.fetchval("SELECT version_num FROM tally.alembic_version")
    await owner.execute("UPDATE tally.alembic_version SET version_num = '9999'")
    await owner.execute("GRANT SELECT ON tally.writer TO tally_display")
    try:
        done = migrate(strict_server, TALLY_ADDER_PASSWORD="new")
        assert (done.returncode, done.stdout) == (0, f"left newer than revision {revision}\n")
        assert await may_log_in(strict_server, "tally_adder", "new")
        # What the newer release has given.
        assert await owner.fetchval(
            "SELECT has_table_privilege('tally_display', 'tally.writer', 'SELECT')"
        )
    finally:
        await owner.execute("REVOKE SELECT ON tally.writer FROM tally_display")
        await owner.execute("UPDATE tally.alembic_version SET version_num = $1", revision)
        await owner.close()


@pytest.fixture
async def talkative(strict_server):
    """Lets the server log all that it can; gives a user's URL who owns the ledger and no role."""
    settings = {
        "log_statement": "all",
        "log_min_duration_statement": "0",
        "log_error_verbosity": "verbose",
        "log_parameter_max_length_on_error": "-1",
        "log_min_messages": "debug1",
    }
    owner = await asyncpg.connect(strict_server.admin_url)
    for name, value in settings.items():
        await owner.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    await owner.execute("CREATE ROLE weak LOGIN PASSWORD 'weak'")
    await owner.execute("CREATE DATABASE weak OWNER weak")
    await owner.execute("SELECT pg_reload_conf()")
    yield with_database(strict_server.url("weak"), "weak") + "&password=weak"
    for name in settings:
        await owner.execute(f"ALTER SYSTEM RESET {name}")
    await owner.execute("DROP DATABASE weak WITH (FORCE)")
    await owner.execute("DROP ROLE weak")
    await owner.execute("SELECT pg_reload_conf()")
    await owner.close()


@pytest.mark.parametrize("allowed", [True, False])
def test_nobody_is_shown_a_password_or_its_verifier(strict_server, talkative, allowed):
    migrate(strict_server)  # there are the roles, for one who may not make them
    url = {} if allowed else {"TALLY_DATABASE_URL": talkative}
    done = migrate(strict_server, TALLY_ADDER_PASSWORD="whisper", **url)
    assert done.returncode == (0 if allowed else 3), done.stderr
    log = (strict_server.directory / "cluster" / "postgres.log").read_text()
    assert ("the password of tally_adder can't be set" in done.stderr) is not allowed
    assert "EXECUTE format('ALTER ROLE" in log, "what was sent is logged"
    for shown in (log, done.stdout, done.stderr):
        assert "whisper" not in shown
        assert "SCRAM-SHA-256$" not in shown


def test_a_password_that_breaks_the_rule_is_refused_and_not_shown(strict_server):
    done = migrate(strict_server, TALLY_ADDER_PASSWORD="two words")
    assert done.returncode == 2
    assert "TALLY_ADDER_PASSWORD must be 1 to 512 visible ASCII" in done.stderr
    assert "two words" not in done.stderr


def salt_of(verifier):
    return base64.b64decode(verifier.split("$")[1].partition(":")[2])


async def test_a_verifier_is_what_postgresql_itself_would_store(strict_server):
    owner = await asyncpg.connect(strict_server.admin_url)
    await owner.execute("CREATE ROLE somebody PASSWORD 'open sesame'")
    stored = await owner.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = 'somebody'")
    await owner.execute("DROP ROLE somebody")
    await owner.close()
    salt = salt_of(stored)
    assert scram.verifier("open sesame", salt) == stored
    own = [scram.verifier("open sesame") for _ in range(2)]
    assert own[0] != own[1]
    assert {len(salt_of(it)) for it in own} == {len(salt)}
