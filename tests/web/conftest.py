"""A service with a past, its page, and a real browser if this machine has one.

One for each file, because tests of processes end all children of this process. A test that
changes the state restores it.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.web.sample import JOBS, fill, utc_now
from tests.web.visitor import Visitor, page

DSN = "host-of-a-secret"
WORKERS = f"""
  load:
    description: Load what came in
    worker: etl.nightly:load
    with: {{source: incoming, dsn: {DSN}-{DSN}, tags: [a]}}
    env: {{MY_TOKEN: {DSN}-{DSN}}}
  lost: {{worker: "lost:run", python: /no/python, enabled: false, with: {{path: x}}}}
"""
# Jobs whose output is followed by tests; they run on request only.
TALKERS = r"""
  talk: {command: 'printf "one\ntwo\n"'}
  talker:
    command: |
      printf '\033[32mfirst\033[0m <b>line</b>\n'
      while [ ! -e go ]; do sleep 0.05; done
      printf '\033[31msecond\033[0m line\n'
      while [ ! -e end ]; do sleep 0.05; done
  flood: {command: "yes 'a line of output, quite ordinary' | head -c 10000000; echo the end"}
"""
ETL = '''
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

@dataclass(frozen=True)
class Params:
    """source: the folder of the text files. batch: lines at once."""

    source: Path
    batch: int = 100
    mode: Literal["fast", "slow"] = "slow"
    tags: tuple[str, ...] = ()
    dsn: str = field(default="", repr=False)

    def __post_init__(self):
        if self.batch < 1:
            raise ValueError(f"batch: expected at least 1, got {self.batch}")

def load(params, report):
    print(params.batch, params.mode, params.dsn, "done")
'''
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Yield a running service with the jobs and the past of `sample.py`."""
    with Sandbox(JOBS + WORKERS + TALKERS) as sandbox:
        (sandbox.root / "etl").mkdir()
        (sandbox.root / "etl" / "nightly.py").write_text(ETL)
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
