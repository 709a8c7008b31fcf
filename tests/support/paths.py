"""Where the checkout's parts are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
BOOTSTRAP = INFRA / "bootstrap"
TESTS = ROOT / "tests"
WORKFLOWS = ROOT / ".github" / "workflows"
