"""Every knob: its default, what it takes, and what it says to anything else."""

from pathlib import Path

import pytest

from tally.settings import (
    InvalidSetting,
    Settings,
    read_passwords,
    read_settings,
    unknown_settings,
)


def test_nothing_set_means_the_defaults() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({"TALLY_PORT": "", "PATH": "/bin"}) == Settings()


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("DATABASE_URL", "postgresql://me:pw@host/tally", "postgresql://me:pw@host/tally"),
        ("DATABASE_URL", "postgres:///tally?host=/run", "postgres:///tally?host=/run"),
        ("ADDER_DATABASE_URL", "postgresql://adder@host/tally", "postgresql://adder@host/tally"),
        ("DISPLAY_DATABASE_URL", "postgresql://display@host/t", "postgresql://display@host/t"),
        ("RESET_DATABASE_URL", "postgresql://reset@host/tally", "postgresql://reset@host/tally"),
        ("DATA_DIR", "/var/lib/my tally", Path("/var/lib/my tally")),
        ("HOST", "0.0.0.0", "0.0.0.0"),
        ("PORT", "0", 0),
        ("PORT", "65535", 65535),
        ("ADD_TOKEN", "s3cret!-of-16-characters", "s3cret!-of-16-characters"),
        ("RESET_TOKEN", "s3cret!-of-16-characters", "s3cret!-of-16-characters"),
        ("REQUEST_TIMEOUT", "0.5", 0.5),
        ("QUEUE_LIMIT", "1", 1),
        ("MAX_VIEWERS", "5", 5),
        ("LOG", "text", "text"),
        ("METRICS_PORT", "9100", 9100),
        # Blanks around a value are no part of it: env files and shells leave them there.
        ("PORT", " 8081\r\n", 8081),
        ("DATABASE_URL", "\tpostgresql:///tally ", "postgresql:///tally"),
        ("DATA_DIR", " /data ", Path("/data")),
        ("ADD_TOKEN", "s3cret!-of-16-characters\n", "s3cret!-of-16-characters"),
        ("LOG", "json\r", "json"),
        # Where no shell has written it out.
        ("DATA_DIR", "~/tally", Path.home() / "tally"),
    ],
)
def test_takes(name, given, read) -> None:
    settings = read_settings({f"TALLY_{name}": given})
    assert getattr(settings, name.lower()) == read


@pytest.mark.parametrize(
    ("name", "given", "rule"),
    [
        ("DATABASE_URL", "mysql://me:pw@host/tally", "must be a URL"),
        ("DATABASE_URL", "host=localhost password=pw", "must be a URL"),
        ("DATABASE_URL", "postgresql://[pw", "must be a URL"),
        ("RESET_DATABASE_URL", "mysql://me:pw@host/tally", "must be a URL"),
        ("RESET_TOKEN_FILE", "/nowhere", "can't be read: No such file"),
        ("PORT", "65536", "must be a port"),
        ("PORT", "-1", "must be a port"),
        ("PORT", "http", "must be a port"),
        ("PORT", "٨", "must be a port"),
        ("ADD_TOKEN", "two words of a sentence", "visible ASCII"),
        ("RESET_TOKEN", "geheimnisvoll-geheimß", "visible ASCII"),
        ("REQUEST_TIMEOUT", "0", "must be from 0.1 to 8 seconds"),
        ("REQUEST_TIMEOUT", "9", "must be from 0.1 to 8 seconds"),
        ("REQUEST_TIMEOUT", "nan", "must be from 0.1 to 8 seconds"),
        ("REQUEST_TIMEOUT", "soon", "must be from 0.1 to 8 seconds"),
        ("QUEUE_LIMIT", "0", "whole number above 0"),
        ("MAX_VIEWERS", "1.5", "whole number above 0"),
        ("LOG", "xml", "must be one of auto, json, text"),
        ("METRICS_PORT", "x", "must be a port"),
        ("PORT", "9" * 5000, "must be a port"),
        ("QUEUE_LIMIT", "9" * 5000, "whole number above 0"),
        ("DATA_DIR", "$HOME/tally", "must be a path written out"),
        ("DATA_DIR", "~nobody at all/tally", "whose home"),
        # What Kubernetes sets for Services of these names.
        ("PORT", "tcp://10.0.0.1:80", "for a Service named tally; put enableServiceLinks: false"),
        ("METRICS_PORT", "udp://10.0.0.1:80", "for a Service named tally-metrics;"),
        *(
            (name, quoted, "must stand without quotes")
            for name in ("PORT", "DATABASE_URL", "DATA_DIR", "ADD_TOKEN", "HOSTS", "LOG")
            for quoted in ('"8080"', "'8080'")
        ),
    ],
)
def test_refuses_and_names_the_variable_and_the_rule(name, given, rule) -> None:
    with pytest.raises(InvalidSetting) as refusal:
        read_settings({f"TALLY_{name}": given})
    assert str(refusal.value).startswith(f"TALLY_{name} ")
    assert rule in str(refusal.value)
    assert "pw" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("TALLY_DATABSE_URL", [": did you mean TALLY_DATABASE_URL?"]),
        ("TALLY_ADDER_PASSWORD_FIEL", [": did you mean TALLY_ADDER_PASSWORD_FILE?"]),
        ("TALLY_METRIC_PORT", [": did you mean TALLY_METRICS_PORT?"]),
        ("TALLY_NONSENSE", [""]),
        ("TALLY_DATABASE_PASSWORD_FILE", []),
        ("TALLY_OPERATOR_PASSWORD", []),
        ("tally_port", []),
        # Kubernetes's, for Services named tally and tally-adder.
        *(
            (f"{name}_{variable}", [])
            for name in ("TALLY", "TALLY_ADDER")
            for variable in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP")
        ),
        *((f"TALLY_PORT_80_TCP{end}", []) for end in ("", "_PROTO", "_PORT", "_ADDR")),
    ],
)
def test_a_variable_that_is_no_setting_is_named(name, said) -> None:
    told = [f"{name} is not a setting of Tally and changes nothing{more}" for more in said]
    assert unknown_settings({name: "80"}) == told


def test_a_service_s_address_is_kubernetes_s() -> None:
    assert unknown_settings({"TALLY_ADDER_PORT": "tcp://10.0.0.1:80"}) == []


def test_passwords_are_read_by_role_and_are_no_settings() -> None:
    given = {
        "TALLY_ADDER_PASSWORD": "a",
        "TALLY_RESET_PASSWORD": "",
        "TALLY_OPERATOR_PASSWORD": "o",
    }
    assert read_passwords(given) == {"tally_adder": "a", "tally_operator": "o"}
    assert read_settings(given) == Settings()


@pytest.mark.parametrize("given", ["two words", "paßwort", "x" * 513, "a\ttab"])
def test_a_password_that_breaks_the_rule_is_refused_and_not_shown(given) -> None:
    with pytest.raises(InvalidSetting) as refusal:
        read_passwords({"TALLY_DISPLAY_PASSWORD": given})
    assert str(refusal.value) == "TALLY_DISPLAY_PASSWORD must be 1 to 512 visible ASCII characters"


def test_a_service_s_own_database_url_comes_first() -> None:
    settings = read_settings(
        {"TALLY_DATABASE_URL": "postgres:///all", "TALLY_RESET_DATABASE_URL": "postgres:///own"}
    )
    assert settings.database_url_of("adder") == "postgres:///all"
    assert settings.database_url_of("reset") == "postgres:///own"


@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "ADDER_DATABASE_URL", "ADD_TOKEN", "RESET_TOKEN", "ADDER_PASSWORD"]
)
def test_a_secret_may_stand_in_a_file(tmp_path, name) -> None:
    secret = "postgres:///tally" if name.endswith("URL") else "s3cret-of-16-characters"
    file = tmp_path / "secret"
    file.write_text(f"{secret}\n")
    given = {f"TALLY_{name}_FILE": str(file)}
    if name.endswith("PASSWORD"):
        assert read_passwords(given) == {"tally_adder": secret}
    else:
        assert getattr(read_settings(given), name.lower()) == secret
    with pytest.raises(InvalidSetting, match=f"TALLY_{name}_FILE and TALLY_{name}"):
        read_settings(given | {f"TALLY_{name}": secret})


def test_the_database_s_password_is_for_urls_without_one() -> None:
    settings = read_settings(
        {
            "TALLY_DATABASE_PASSWORD": "p&ss",
            "TALLY_DATABASE_URL": "postgresql://me@host/tally?sslmode=require",
            "TALLY_ADDER_DATABASE_URL": "postgresql://adder:own@host/tally",
            "TALLY_RESET_DATABASE_URL": "postgresql:///tally",
        }
    )
    assert settings.database_url == "postgresql://me@host/tally?sslmode=require&password=p%26ss"
    assert settings.adder_database_url == "postgresql://adder:own@host/tally"
    assert settings.reset_database_url == "postgresql:///tally?password=p%26ss"
