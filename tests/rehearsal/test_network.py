"""The network ends with its process, whatever ends that."""

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from rehearsal.outcome import Outcome
from rehearsal.reachability import cells
from tally.aws.reachability import INTERNET
from tests.support.paths import ROOT

STANDS = """
import os, signal, sys
from rehearsal.found import Found
from rehearsal.network import Network
from rehearsal.packets import Prober
network = Network(Found(sys.argv[1]))
prober = Prober(network)
print(*{os.fstat(it.file).st_ino for it in network.namespaces}, flush=True)
signal.pause()
"""


def namespaces() -> set[int]:
    """Every network namespace that a process is in, has opened, or has mounted."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        for pattern, read in (
            ("task/*/ns/net", os.readlink),
            ("fd/*", os.readlink),
            ("mountinfo", Path.read_text),
        ):
            # It may end meanwhile; some even root may not look into.
            with suppress(OSError):
                for path in process.glob(pattern):
                    with suppress(OSError):
                        found |= {int(it) for it in re.findall(r"\bnet:\[(\d+)\]", read(path))}
    return found


def test_nothing_is_left_after_a_kill_and_a_second_one_stands_up(account, networks):
    found = account()
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", STANDS, found.name],
            cwd=ROOT,
            env={**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            made = {int(it) for it in process.stdout.readline().split()}
            during = namespaces()
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        assert len(made) == len(found.hosts) + 2
        assert made <= during
        assert not made & namespaces()


def test_the_first_packet_finds_its_way_out(account, probed):
    """Before any other has come in: nobody knows where the next hop is."""
    found = account()
    [internet] = [it for it in found.targets if it.name == INTERNET]
    public = [it for it in found.interfaces if it.public]
    with probed(found) as (_, prober):
        attempts = prober.attempt(found, cells(found, [internet, *public]))
    assert Outcome.PASSES in {it.outcome for it in attempts}
    assert Outcome.SILENCE not in {it.outcome for it in attempts}
