"""The fault run as `make faults` starts it, for a minute: nothing is found."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from faults.checkers import CHECKERS, findings
from faults.faults import FULL_DISK, ON_A_SERVER
from faults.history import Fault, History

pytestmark = pytest.mark.proofs  # it runs the faults, with all that they start

ROOT = Path(__file__).parents[2]
SECONDS, SEED = 60, 1


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def ran(out):
    return subprocess.run(
        [
            *(sys.executable, "-m", "faults", "--seconds", str(SECONDS), "--seed", str(SEED)),
            *("--out", str(out), "--system", "server"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def history(ran, out):
    return History.read(out / "server" / "history.jsonl")


@pytest.fixture(scope="module")
def injected(history):
    """The names of the faults in the history, in their order."""
    return [fault.name for fault in history.all(Fault)]


def test_no_promise_is_broken(ran):
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout == ""


def test_the_history_alone_tells(history):
    assert findings(history) == []


def test_every_fault_is_injected(injected):
    assert {*injected, FULL_DISK} == set(ON_A_SERVER)


def test_the_disk_is_filled(ran, injected):
    left_out = re.search(f"left out: {FULL_DISK} \\((.*)\\)", ran.stderr)
    if left_out:
        pytest.skip(f"{left_out[1]}: run `make test` as root, outside a container")
    assert FULL_DISK in injected


def test_the_report_tells_of_every_checker_and_fault(ran, out, injected):
    text = (out / "faults.md").read_text()
    assert "None: every promise was kept." in text
    promises = text.partition("### Promises")[2].partition("### ")[0]
    checked = dict(re.findall(r"\| ([a-z ]+) \| .* \| ([\d,]+) \| 0 \|\n", promises))
    checkers = {checker.__name__.replace("_", " ") for checker in CHECKERS}
    # Sessions are counted on a cluster; whoever used a key is rarely told that nothing is stored.
    # Any other checker has something to check.
    assert checkers - {"few sessions", "told of keys"} <= checked.keys() <= checkers
    assert all(f"| {name} | {ON_A_SERVER[name].sentence} | 1 | " in text for name in injected)
    assert "](pictures/faults-server.svg)" in text


def test_the_picture_names_every_fault(ran, out, injected):
    root = ET.parse(out / "pictures" / "faults-server.svg").getroot()
    texts = {"".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert set(injected) < texts


def test_the_services_log_to_files(ran, out):
    logs = {path.stem for path in (out / "server").glob("*.log") if path.stat().st_size}
    assert logs == {"adder-1", "adder-2", "adder-3", "display-1", "display-2", "reset-1"}
