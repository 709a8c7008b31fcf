"""Take the README's pictures: a real browser, a real Tally, believable data.

    python scripts/screenshots.py [tally] [check]

`tally` is its pages; `check` is the page of `tally check`, of a deployment on emulated AWS, which
takes Terraform and some five minutes. Without either, all are taken.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
SIZE = {"width": 1000, "height": 640}
# As root, chromium's sandbox can't work; the rest keeps it from calling home.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextmanager
def running_tally() -> Iterator[str]:
    """Run `tally up` on an empty ledger and give its address."""
    folder = Path(tempfile.mkdtemp(prefix="tally-pictures-"))
    folder.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "tally", "up", "--port", "0"],
        env={**os.environ, "TALLY_DATA_DIR": str(folder / "data")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        address = next(line.split()[-1] for line in process.stderr if "Tally is at" in line)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        shutil.rmtree(folder)


def add_a_day_of_sales(address: str) -> None:
    """Add takings and refunds at an uneven pace, so that the picture has a shape."""
    generator = random.Random(7)
    with httpx.Client(base_url=address) as client:
        for number in range(240):
            cents = generator.choice((250, 380, 420, 1290, 1890, 3450)) * generator.randint(1, 4)
            if number % 17 == 16:
                cents = -cents * 6
            value = f"{cents / 100:.2f}"
            client.post("/adder_service/entries", json={"value": value}).raise_for_status()
            time.sleep(0.11 if number % 60 < 15 else 0.02)


def take(page: Page, name: str, scheme: str) -> None:
    """Take one picture once the page is at rest."""
    page.wait_for_timeout(800)
    page.screenshot(path=PICTURES / f"{name}-{scheme}.png")


def take_all(browser: Browser, address: str, scheme: str) -> None:
    """Walk through the pages as the README's tour does."""
    context = browser.new_context(viewport=SIZE, color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    take(page, "home", scheme)
    page.goto(f"{address}/adder_service")
    page.get_by_label("Value").fill("1234.5")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_text("Added").first.wait_for()
    take(page, "adder", scheme)
    page.set_viewport_size({**SIZE, "height": 900})
    page.goto(f"{address}/display_service")
    take(page, "display", scheme)
    page.set_viewport_size(SIZE)
    page.goto(f"{address}/reset_service?confirm=1")
    take(page, "reset", scheme)
    context.close()


@contextmanager
def checked_deployment() -> Iterator[str]:
    """Apply to an emulated AWS, run `tally check`, and return the page's address."""
    testbed = subprocess.Popen(
        [sys.executable, "-m", "tests.support.deployment"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert testbed.stdout is not None
    try:
        with tempfile.TemporaryDirectory(prefix="tally-pictures-") as folder:
            page = Path(folder) / "check.html"
            environment = {
                "AWS_ENDPOINT_URL": testbed.stdout.readline().strip(),
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
            }
            subprocess.run(
                [sys.executable, "-m", "tally", "check", "--html", page],
                cwd=ROOT,
                env=os.environ | environment,
                stdout=subprocess.DEVNULL,
                check=True,
            )
            yield page.as_uri()
    finally:
        testbed.send_signal(signal.SIGINT)
        testbed.wait(timeout=30)


def take_check(browser: Browser, address: str) -> None:
    """The verdict, who reaches whom, and the first requirements."""
    context = browser.new_context(viewport={**SIZE, "height": 1350}, color_scheme="light")
    page = context.new_page()
    page.goto(address)
    take(page, "check", "light")
    context.close()


def main(wanted: set[str]) -> None:
    """Take the pictures."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("screenshots need chromium: install it first")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        if "tally" in wanted:
            with running_tally() as address:
                httpx.post(f"{address}/adder_service/entries", json={"values": [120, 80, 45.5]})
                made = httpx.post(f"{address}/reset_service/resets").json()
                add_a_day_of_sales(address)
                assert made["count"] == 3
                for scheme in ("light", "dark"):
                    take_all(browser, address, scheme)
        if "check" in wanted:
            with checked_deployment() as address:
                take_check(browser, address)
        browser.close()


if __name__ == "__main__":
    main(set(sys.argv[1:]) or {"tally", "check"})
