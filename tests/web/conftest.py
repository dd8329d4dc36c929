"""A service with a past, its page, and a real browser if this machine has one."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.web.sample import JOBS, fill, utc_now
from tests.web.visitor import Visitor, page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Yield a running service with the jobs and the past of `sample.py`."""
    with Sandbox(JOBS) as sandbox:
        with sqlite3.connect(sandbox.root / "cards.db") as db:
            db.execute("CREATE TABLE cards (name TEXT)")
            db.execute("INSERT INTO cards VALUES ('one')")
        fill(sandbox.state, utc_now())
        with supervised(sandbox):
            sandbox.says("run", "backup-database", "--wait")
            yield sandbox


@pytest.fixture(scope="module")
def url(sandbox: Sandbox) -> Iterator[str]:
    """Yield the URL of a page with all buttons; its token is not used yet."""
    with page(sandbox) as url:
        yield url


@pytest.fixture(scope="module")
def visitor(url: str) -> Visitor:
    """Return a visitor who is signed in."""
    return Visitor(url).sign_in()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Yield a running browser; skip where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser is installed: none of {', '.join(BROWSERS)}")
    with sync_api.sync_playwright() as driver:
        # Chromium's own sandbox does not work for root, nor in most containers.
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tmp_screens(tmp_path: Path) -> Path:
    """Return a folder for pictures."""
    return tmp_path
