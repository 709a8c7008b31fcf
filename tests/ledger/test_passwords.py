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


async def test_the_server_is_never_told_the_password(strict_server):
    owner = await asyncpg.connect(strict_server.admin_url)
    await owner.execute("ALTER SYSTEM SET log_statement = 'all'")
    await owner.execute("SELECT pg_reload_conf()")
    try:
        assert migrate(strict_server, TALLY_ADDER_PASSWORD="whisper").returncode == 0
    finally:
        await owner.execute("ALTER SYSTEM RESET log_statement")
        await owner.execute("SELECT pg_reload_conf()")
        await owner.close()
    log = (strict_server.directory / "cluster" / "postgres.log").read_text()
    assert "ALTER ROLE tally_adder PASSWORD 'SCRAM-SHA-256$" in log
    assert "whisper" not in log


def test_a_password_that_breaks_the_rule_is_refused_and_not_shown(strict_server):
    done = migrate(strict_server, TALLY_ADDER_PASSWORD="two words")
    assert done.returncode == 2
    assert "TALLY_ADDER_PASSWORD must be 1 to 512 visible ASCII" in done.stderr
    assert "two words" not in done.stderr


async def test_a_verifier_is_what_postgresql_itself_would_store(strict_server):
    owner = await asyncpg.connect(strict_server.admin_url)
    await owner.execute("CREATE ROLE somebody PASSWORD 'open sesame'")
    stored = await owner.fetchval("SELECT rolpassword FROM pg_authid WHERE rolname = 'somebody'")
    await owner.execute("DROP ROLE somebody")
    await owner.close()
    salt = base64.b64decode(stored.split("$")[1].partition(":")[2])
    assert scram.verifier("open sesame", salt) == stored
    assert scram.verifier("open sesame") != scram.verifier("open sesame")
