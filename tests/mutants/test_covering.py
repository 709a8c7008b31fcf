"""Which tests may kill a mutant."""

import pytest

from mutants.covering import Covering
from mutants.mutant import Mutant

# Each test, and its seconds.
SECONDS = {"coded": 0.2, "short": 0.1, "slow": 31.0, "other": 0.1, "tests/docs/limits": 0.3}
LINES = {
    "web/compression.py": {"22": ["coded", "slow"], "28": ["coded"], "40": ["slow"]},
    "web/response.py": {"36": ["coded", "short"]},
    "web/hosts.py": {"29": ["other"]},
}


STARTS = "tests/web/test_compression.py::starts"


def asked_of(line: int) -> list[str]:
    covering = Covering(SECONDS, [STARTS, "tests/web/test_hosts.py::starts"], LINES, [])
    mutant = Mutant("web/compression.py", line, "", "")
    return list(covering.tests_of(mutant))


@pytest.mark.parametrize(("line", "tests"), [(22, ["coded"]), (28, ["coded"])])
def test_of_a_line_these_are_the_quick_ones_that_run_it(line, tests) -> None:
    assert asked_of(line) == tests


def test_of_a_constant_these_are_also_those_of_who_imports_it_and_those_of_processes() -> None:
    assert asked_of(9) == ["tests/docs/limits", "short", "coded", STARTS]


def test_of_what_only_slow_tests_run_these_are_those_of_processes() -> None:
    assert asked_of(40) == [STARTS]


OWN = "tests/web/test_hosts.py::allows"


def test_the_module_s_own_come_first_and_then_a_minute_of_others() -> None:
    many = {f"{number}": 19.0 for number in range(20)} | {"quick": 0.5, OWN: 8.0}
    covering = Covering(many, [], {"web/hosts.py": {"29": [*many]}}, [])
    asked = covering.tests_of(Mutant("web/hosts.py", 29, "", ""))
    assert [*asked] == [OWN, "quick", "0", "1", "2"]


def test_of_the_module_s_own_a_minute_is_enough() -> None:
    own = {f"{OWN}[{number:02}]": 9.0 for number in range(20)}
    covering = Covering(own | {"other": 0.1}, [], {"web/hosts.py": {"29": [*own, "other"]}}, [])
    assert [*covering.tests_of(Mutant("web/hosts.py", 29, "", ""))] == [*[*own][:6], "other"]


def test_of_what_is_imported_these_are_all_of_the_module_s_own() -> None:
    covering = Covering({OWN: 0.1, "other": 0.1}, [], {}, [])
    assert [*covering.tests_of(Mutant("web/hosts.py", 3, "", ""))] == [OWN]


def test_of_what_a_command_is_for_these_are_the_command_s() -> None:
    command = "tests/cli/test_backup.py::all_of_it_comes_back"
    covering = Covering({}, [command, STARTS], {}, [])
    assert [*covering.tests_of(Mutant("ledger/restore.py", 60, "", ""))] == [command]
