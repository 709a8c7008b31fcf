"""The build file, the compose file and the balancer's configuration agree and are well made.

No engine with the compose command is here: compose.yaml is checked, not run.
"""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tally.settings import read_passwords, read_settings
from tests.support.containers import CONTAINERS, HEALTH_CHECK, ROOT, SERVICES

BIN = ROOT / ".venv" / "bin"
CONTAINERFILE = (CONTAINERS / "Containerfile").read_text()
BALANCER = (CONTAINERS / "haproxy.cfg").read_text()
COMPOSE = yaml.safe_load((CONTAINERS / "compose.yaml").read_text())
PINNED = re.compile(r"docker\.io/library/[a-z]+:[\w.-]+@sha256:[0-9a-f]{64}")


def run(*arguments: str | Path) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_build_file_is_clean() -> None:
    run(BIN / "hadolint", CONTAINERS / "Containerfile")


def test_the_compose_file_is_valid() -> None:
    run(
        BIN / "check-jsonschema",
        "--builtin-schema=vendor.compose-spec",
        CONTAINERS / "compose.yaml",
    )


def test_every_base_is_pinned_by_digest() -> None:
    base = re.search(r"^ARG BASE=(.*)$", CONTAINERFILE, re.MULTILINE)
    assert base is not None
    assert PINNED.fullmatch(base[1])
    froms = re.findall(r"^FROM (\S+)", CONTAINERFILE, re.MULTILINE)
    # What Dependabot moves; no target needs it.
    assert froms.pop(0) == base[1], "ARG BASE and the stage `official` name the same image"
    assert set(froms) == {"${BASE}", "runtime"}
    for name in ("postgres", "balancer"):
        assert PINNED.fullmatch(COMPOSE["services"][name]["image"]), name


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_built_from_its_target(service: str) -> None:
    described = COMPOSE["services"][service]
    build = described["build"]
    assert (CONTAINERS / build["context"] / build["dockerfile"]).resolve() == (
        CONTAINERS / "Containerfile"
    )
    assert build["target"] == service
    assert re.search(rf"^FROM runtime AS {service}$", CONTAINERFILE, re.MULTILINE)
    # The image's own command and health check serve; the compose file overrides neither.
    assert not described.keys() & {"command", "entrypoint", "healthcheck", "user", "ports"}


def test_the_health_check_on_aws_is_that_of_the_images() -> None:
    module = (ROOT / "infra/modules/fargate-service/main.tf").read_text()
    words = ", ".join(f'"{word}"' for word in ("CMD", *HEALTH_CHECK))
    assert re.findall(r"healthCheck = {\s+command += \[(.+)\]", module) == [f"{words}, var.service"]


@pytest.mark.parametrize("name", [*SERVICES, "schema", "balancer"])
def test_each_container_is_restricted(name: str) -> None:
    described = COMPOSE["services"][name]
    assert described["read_only"] is True
    assert described["cap_drop"] == ["ALL"]
    assert described["security_opt"] == ["no-new-privileges:true"]


def test_the_balancer_asks_each_service_at_the_port_of_its_image() -> None:
    exposed = re.search(r"^EXPOSE (\d+)$", CONTAINERFILE, re.MULTILINE)
    assert exposed is not None
    assert f"TALLY_PORT={exposed[1]}" in CONTAINERFILE
    balancer = COMPOSE["services"]["balancer"]
    for service in SERVICES:
        assert balancer["environment"][service.upper()] == f"{service}:{exposed[1]}"
    port = balancer["environment"]["PORT"]
    assert balancer["ports"] == [f"127.0.0.1:8080:{port}"]
    assert "./haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg:ro" in balancer["volumes"]


def test_the_balancer_has_the_rules_of_the_one_on_aws() -> None:
    on_aws = (ROOT / "infra" / "load-balancer.tf").read_text()
    there = {
        (pattern, service)
        for patterns, service in re.findall(r'paths = \[(.+?)\], service = "(\w+)"', on_aws)
        for pattern in re.findall(r'"(.+?)"', patterns)
    }
    here = {
        (path + ("*" if rule == "path_beg" else ""), service)
        for service, rule, paths in re.findall(r"use_backend (\w+) if { (\w+) (.+) }", BALANCER)
        for path in paths.split()
    }
    assert here == there
    assert {service for _, service in here} == set(SERVICES)
    [answer] = re.findall(r'return status 404 content-type text/plain string "(.+)"', BALANCER)
    assert f'message_body = "{answer}"' in on_aws


def test_each_service_has_its_own_role_and_the_schema_the_owner() -> None:
    roles = {
        name: urlsplit(COMPOSE["services"][name]["environment"]["TALLY_DATABASE_URL"]).username
        for name in (*SERVICES, "schema")
    }
    assert roles == {**{s: f"tally_{s}" for s in SERVICES}, "schema": "postgres"}
    assert COMPOSE["services"]["schema"]["command"] == ["migrate"]


def test_each_service_is_given_its_own_password_and_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    run(CONTAINERS / "make-secrets", folder)
    made = {file.name: file.read_text() for file in folder.iterdir()}
    assert set(made) == set(COMPOSE["secrets"]) == {"owner", *SERVICES}
    assert len(set(made.values())) == len(made)
    assert all(re.fullmatch("[0-9a-f]{48}", secret) for secret in made.values())
    # Containers' users read the files; on the machine, only who made them enters the folder.
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o444}
    assert folder.stat().st_mode & 0o777 == 0o700

    def within(name: str) -> dict[str, str]:
        """The variables of a container, its files being those just made."""
        described = COMPOSE["services"][name]
        secrets = {f"/run/secrets/{secret}": folder / secret for secret in described["secrets"]}
        return {
            variable: str(secrets[value] if value.startswith("/run/") else value)
            for variable, value in described["environment"].items()
        }

    for service in SERVICES:
        assert COMPOSE["services"][service]["secrets"] == [service]
        url = read_settings(within(service)).database_url_of(service)
        assert url is not None
        assert url.endswith(f"?password={made[service]}")
    assert read_passwords(within("schema")) == {f"tally_{s}": made[s] for s in SERVICES}
    assert within("postgres")["POSTGRES_PASSWORD_FILE"] == str(folder / "owner")


def test_the_passwords_stay_and_never_enter_the_repository(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    run(CONTAINERS / "make-secrets", folder)
    before = (folder / "adder").read_text()
    (folder / "reset").unlink()
    run(CONTAINERS / "make-secrets", folder)
    assert (folder / "adder").read_text() == before
    ignored = subprocess.run(
        ["git", "check-ignore", "--quiet", CONTAINERS / "secrets" / "adder"], cwd=ROOT, check=False
    )
    assert ignored.returncode == 0
    assert "trust" not in (CONTAINERS / "compose.yaml").read_text()


def test_only_the_balancer_is_reached_and_it_does_not_reach_the_database() -> None:
    services = COMPOSE["services"]
    assert [name for name, described in services.items() if "ports" in described] == ["balancer"]
    assert services["balancer"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["database"] == {"internal": True}
