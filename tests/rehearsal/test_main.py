"""The command says what it needs before it begins."""

import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes networks: run it as root")
def test_what_is_missing_is_named_with_its_package(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rehearsal", "--stay"],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    missing, _, packages = done.stderr.partition(" not installed: apt install ")
    assert {"buildah", "podman"} <= {*missing.replace(",", "").split()}
    assert {"buildah", "podman"} <= {*packages.split()}
