"""The database, seen from the bastion: to read, over TLS that is verified."""

import re

from tests.support.guests import cloud as clouds
from tests.support.guests.cloud import Cloud
from tests.support.guests.guest import Guest
from tests.support.guests.operator import Operator, one_record
from tests.support.guests.release import CERTIFICATES, PROJECT


def test_psql_reads_the_ledger_with_verified_tls(
    bastion: Guest, operator: Operator, the_cloud: Cloud
) -> None:
    ask = """
        select current_user, ssl, current_setting('transaction_read_only')
        from pg_stat_ssl where pid = pg_backend_pid();
        select count(*) >= 0 from tally.entry;
    """
    with one_record(bastion) as record:
        done = operator.ssh("tally-psql --no-psqlrc --tuples-only --no-align", said=ask)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["tally_operator|t|off", "t"]
    assert the_cloud.password("tally_operator") not in record[1]


def test_psql_on_a_terminal(bastion: Guest, operator: Operator) -> None:
    """As docs/deploy.md has it."""
    with one_record(bastion) as record:
        # A terminal of no size, as that of a test, would get a pager.
        done = operator.ssh(
            "tally-psql --pset=pager=off", options=("-tt",), said="select 6 * 7 as found;\n\\q\n"
        )
    assert done.returncode == 0, done.stdout
    assert "42" in done.stdout
    assert "select 6 * 7 as found;" in record[1]


def test_psql_can_write_nothing(operator: Operator) -> None:
    statements = (
        "insert into tally.entry default values",
        "delete from tally.entry",
        "update tally.total set sum = 0",
        "truncate tally.entry",
        "create table public.mine (it int)",
        "create table tally.mine (it int)",
        "create role other",
        "set role tally_adder",
    )
    done = operator.ssh("tally-psql", said="".join(f"{statement};\n" for statement in statements))
    assert done.stdout == ""
    assert done.stderr.count("ERROR:  permission denied") == len(statements), done.stderr


def test_psql_takes_no_server_with_another_authority(bastion: Guest, operator: Operator) -> None:
    """Amazon's own, which did not sign the test's server."""
    kept = bastion.root / "etc/tally/rds-us-east-1.pem"
    before = kept.read_text()
    kept.write_text((PROJECT / CERTIFICATES).read_text())
    try:
        done = operator.ssh("tally-psql --command 'select 1'")
    finally:
        kept.write_text(before)
    assert done.returncode == 2
    assert "certificate verify failed" in done.stderr


def test_psql_takes_no_server_with_another_name(
    bastion: Guest, operator: Operator, the_cloud: Cloud
) -> None:
    settings, hosts = bastion.root / "etc/tally/machine.env", bastion.root / "etc/hosts"
    before, known = settings.read_text(), hosts.read_text()
    settings.write_text(before.replace(clouds.DATABASE_HOST, "other.example"))
    hosts.write_text(f"{known}{the_cloud.network.cloud_address} other.example\n")
    try:
        done = operator.ssh("tally-psql --command 'select 1'")
    finally:
        settings.write_text(before)
        hosts.write_text(known)
    assert done.returncode == 2
    assert re.search('certificate for .* does not match host name "other.example"', done.stderr)


def test_psql_takes_a_changed_password(operator: Operator, the_cloud: Cloud) -> None:
    the_cloud.change_password("tally_operator")
    assert operator.ssh("tally-psql --command 'select 1'").returncode == 0
