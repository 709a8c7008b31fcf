"""The network ends with its process, whatever ends that."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

STANDS = """
import signal, sys
import boto3
from rehearsal.found import Found
from rehearsal.network import Network
from rehearsal.packets import Prober
network = Network(Found(sys.argv[1], boto3.Session()))
prober = Prober(network)
print(*{os.fstat(it.file).st_ino for it in network.namespaces}, flush=True)
signal.pause()
"""


def namespaces() -> set[int]:
    """Every network namespace that a process is in, has opened, or has mounted."""
    links = [*Path("/proc").glob("[0-9]*/task/*/ns/net"), *Path("/proc").glob("[0-9]*/fd/*")]
    found = set()
    for link in links:
        try:
            found |= {int(it) for it in re.findall(r"^net:\[(\d+)\]$", os.readlink(link))}
        except FileNotFoundError:
            pass  # it has just ended
    mounted = Path("/proc/self/mountinfo").read_text()
    return found | {int(it) for it in re.findall(r" net:\[(\d+)\] ", mounted)}


def test_nothing_is_left_after_a_kill_and_a_second_one_stands_up(account, networks):
    found = account()
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", f"import os{STANDS}", found.name],
            cwd=ROOT,
            env={**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            made = {int(it) for it in process.stdout.readline().split()}
            assert len(made) == len(found.hosts) + 2
            assert made <= namespaces()
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not made & namespaces()
