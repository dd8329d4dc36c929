"""The page in a real browser: its policy, its size, and its automatic updates.

`see` waits for a condition; nothing here is timed.
"""

import contextlib
import http.client
import http.server
import re
import sqlite3
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.waiting import until
from tests.web.visitor import Visitor, page, ran

PAGES = (
    *("", "timeline", "calendar", "incidents", "backups", "replication", "actions", "config"),
    *("jobs/replicate", "jobs/backup-database", "jobs/load/run", "runs", "runs/1"),
)
_OPEN = "document.querySelectorAll('main details').forEach(each => { each.open = true; })"
LOOKS = (("light", 1280), ("dark", 390))
PATIENCE_MS = 60_000
# Several waits in one test, on a machine that is busy.
pytestmark = pytest.mark.timeout(400)


class Tab:
    """One tab of the browser; `complaints` are its console messages and errors."""

    def __init__(self, context, url: str) -> None:
        parts = urlsplit(url)
        self.root = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self.complaints: list[str] = []
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on(
            "console", lambda reported: self.complaints.append(f"{reported.type}: {reported.text}")
        )
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def open(self, path: str) -> None:
        answer = self.page.goto(f"{self.root}/{path}")
        assert answer.status == 200, path

    def look(self, scheme: str, width: int) -> None:
        """Show the page in light or dark, in a window of this width."""
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": 800})

    def see(self, text: str) -> None:
        self.page.wait_for_function(
            "text => document.body.innerText.includes(text)", arg=text, timeout=PATIENCE_MS
        )


def ran_badly(sandbox: Sandbox, job: str) -> int:
    """Run a job that fails, and return the number of the run."""
    assert sandbox.ask("run", job, "--wait").returncode == 1
    number: int = sandbox.json("history", job, "-n", "1")["runs"][0]["id"]
    return number


@contextmanager
def tab(chromium, url: str, cookies: dict[str, str], **options) -> Iterator[Tab]:
    """Open a tab of a signed-in browser with these options of its context."""
    context = chromium.new_context(**options)
    host = urlsplit(url).hostname
    context.add_cookies(
        [{"name": n, "value": v, "domain": host, "path": "/"} for n, v in cookies.items()]
    )
    try:
        yield Tab(context, url)
    finally:
        context.close()


def test_every_page_fits_and_nothing_complains(chromium, url, visitor):
    with tab(chromium, url, visitor.cookies) as seen:
        for path in PAGES:
            seen.open(path)
            seen.page.evaluate(_OPEN)
            for scheme, width in LOOKS:
                seen.look(scheme, width)
                wide = seen.page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, (path, scheme, width)
        assert seen.complaints == []


def test_all_works_without_scripts(chromium, url, visitor):
    # test_pages.py checks without scripts that each page is complete.
    with tab(chromium, url, visitor.cookies, java_script_enabled=False) as seen:
        seen.open("")
        assert seen.page.locator("noscript").count() == 1
        seen.page.locator("#job-long-report button", has_text="Pause").click()
        assert "long-report: paused" in seen.page.locator("main").inner_text()
        seen.page.locator("#job-long-report button", has_text="Resume").click()
        assert "long-report: resumed" in seen.page.locator("main").inner_text()
        seen.open("jobs/load")
        seen.page.locator("a", has_text="Run with parameters").click()
        seen.page.fill("[name='set.batch']", "0")
        seen.page.locator("button", has_text="Run with these").click()
        assert "expected at least 1, got 0" in seen.page.locator("main").inner_text()


def test_the_printed_url_signs_in_once(chromium, sandbox):
    with page(sandbox) as url, tab(chromium, url, {}) as seen:
        seen.page.goto(url)
        assert "token" not in seen.page.url
        seen.see("sync-sets")


def test_a_change_shows_by_itself(chromium, url, visitor, sandbox):
    with tab(chromium, url, visitor.cookies) as seen:
        seen.open("")
        seen.see("old-export")
        sandbox.says("pause", "sync-sets", "--reason", "a reason to see")
        seen.page.wait_for_selector("#job-sync-sets button:has-text('Resume')")
        sandbox.says("resume", "sync-sets")
        seen.page.wait_for_selector("#job-sync-sets button:has-text('Pause')")
        sandbox.says("run", "import-orders")
        seen.page.wait_for_selector("#job-import-orders .s-running")
        sandbox.says("cancel", "import-orders")
        seen.page.wait_for_selector("#job-import-orders .s-cancelled")
        assert seen.complaints == []


def test_a_page_says_that_it_gets_no_changes_any_more(chromium, sandbox):
    with contextlib.ExitStack() as running:
        url = running.enter_context(page(sandbox))
        with tab(chromium, url, Visitor(url).sign_in().cookies) as seen:
            seen.open("")
            sandbox.says("pause", "sync-cards")
            seen.page.wait_for_selector("#job-sync-cards button:has-text('Resume')")
            assert seen.page.locator("#stale").is_hidden()
            sandbox.says("resume", "sync-cards")

            running.close()

            seen.page.wait_for_selector("#stale", state="visible")


def test_what_a_person_types_stays_when_something_changes(chromium, url, visitor, sandbox):
    with tab(chromium, url, visitor.cookies) as seen:
        seen.open("jobs/load/run")
        seen.page.fill("[name='set.source']", "half typed")
        sandbox.says("pause", "--reason", "to be seen")
        seen.see("to be seen")
        assert seen.page.input_value("[name='set.source']") == "half typed"
        sandbox.says("resume")


def test_a_log_grows_by_itself_with_its_colours(chromium, url, visitor, sandbox):
    run = sandbox.json("run", "talker")["run"]["id"]
    log = sandbox.state / "runs" / f"{run}.log"
    with tab(chromium, url, visitor.cookies) as seen:
        until(lambda: log.exists() and "first" in log.read_text())
        seen.open(f"runs/{run}")
        seen.page.wait_for_selector("#log .a-f2:has-text('first')")
        (sandbox.root / "go").touch()
        seen.page.wait_for_selector("#log .a-f1:has-text('second')")
        assert seen.page.locator("#log").inner_text().count("first") == 1
        (sandbox.root / "end").touch()
        seen.page.wait_for_selector("h1 .s-success")
        assert seen.complaints == []


def test_a_flood_of_output_opens_at_its_end(chromium, url, visitor, sandbox):
    run = ran(sandbox, "flood")
    with tab(chromium, url, visitor.cookies) as seen:
        seen.open(f"runs/{run}")
        seen.see("the end")
        assert seen.page.evaluate("document.getElementById('log').innerText.length") < 200_000
        seen.page.locator("text=show all that is kept").click()
        seen.see("bytes dropped")


def test_ten_thousand_jobs_are_paged_and_found(chromium):
    many = "jobs:\n" + "".join(
        f'  job-{n:05}: {{command: "true", cron: "{n % 60} {n % 24} 1 1 *"}}\n'
        for n in range(10_000)
    )
    with Sandbox(many) as sandbox, supervised(sandbox), page(sandbox) as url:
        cookies = Visitor(url).sign_in().cookies
        with tab(chromium, url, cookies) as seen:
            seen.open("")
            assert seen.page.locator("tbody tr").count() == 100
            seen.see("1 of 100, 10,000 jobs")
            seen.page.locator("a[rel=next]").click()
            seen.see("job-00100")
            seen.page.fill("input[name=q]", "job-07777")
            seen.page.locator("form.filter button").click()
            seen.page.wait_for_selector("#job-job-07777")
            assert seen.page.locator("tbody tr").count() == 1
            for path in ("timeline", "calendar"):
                seen.open(path)
            assert seen.complaints == []


LONG = """
jobs:
  fails: {worker: "own:fails", description: "%s"}
  backup: {worker: backup.run, with: {database: cards.db, directory: copies}}
""" % ("d" * 10_000)
OWN = """
from workers.report import WorkerError

def fails(params, report):
    raise WorkerError("e" * 10_000, permanent=True)
"""


def test_a_long_word_widens_no_page_and_hides_no_list(chromium):
    with Sandbox(LONG) as sandbox:
        (sandbox.root / "own.py").write_text(OWN)
        with sqlite3.connect(sandbox.root / "cards.db") as db:
            db.execute("CREATE TABLE cards (name TEXT)")
        with supervised(sandbox), page(sandbox) as url:
            failed = ran_badly(sandbox, "fails")
            sandbox.says("run", "backup", "--wait")
            (copy,) = (sandbox.root / "copies").glob("*.gz")
            copy.with_name(f"{'x' * 200}{copy.name}").write_bytes(copy.read_bytes())
            with tab(chromium, url, Visitor(url).sign_in().cookies) as seen:
                for path in ("", "incidents", "backups", "runs", "jobs/fails", f"runs/{failed}"):
                    seen.open(path)
                    seen.page.evaluate(_OPEN)
                    for scheme, width in LOOKS:
                        seen.look(scheme, width)
                        wide = seen.page.evaluate("document.documentElement.scrollWidth")
                        assert wide <= width, (path, width)
                seen.open("")
                seen.page.set_viewport_size({"width": 1280, "height": 800})
                assert seen.page.locator("#job-fails").bounding_box()["y"] < 800


class _Proxy(http.server.BaseHTTPRequestHandler):
    """Pass everything below /x/ on to `target`, with an unchanged path."""

    target = ""

    def do_GET(self):
        self._pass(None)

    def do_POST(self):
        self._pass(self.rfile.read(int(self.headers["Content-Length"])))

    def _pass(self, body):
        if not self.path.startswith("/x/"):
            self.send_error(404)
            return
        asked = urllib.request.Request(self.target + self.path, body, dict(self.headers))
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            answer = opener.open(asked)
        except urllib.error.HTTPError as error:
            answer = error
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        self.end_headers()
        # The page ends while its streams are open, and a tab may be closed while it reads.
        with contextlib.suppress(OSError, http.client.HTTPException):
            while piece := answer.read1(65536):
                self.wfile.write(piece)
                self.wfile.flush()

    def log_message(self, *_):
        pass


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def test_it_works_below_a_path_of_a_proxy(chromium, sandbox):
    with page(sandbox, "--base", "/x") as url:
        parts = urlsplit(url)
        handler = type("P", (_Proxy,), {"target": f"http://{parts.netloc}"})
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            outside = f"http://127.0.0.1:{server.server_port}/x/"
            with tab(chromium, outside, {}) as seen:
                seen.page.goto(f"{outside}?{parts.query}")
                seen.open("timeline")
                seen.open("")
                seen.page.locator("#job-health button", has_text="Pause").click()
                seen.see("health: paused")
                seen.page.locator("#job-health button", has_text="Resume").click()
                seen.see("health: resumed")
                sandbox.says("pause", "health")
                seen.page.wait_for_selector("#job-health button:has-text('Resume')")
                sandbox.says("resume", "health")
                assert seen.complaints == []
            server.shutdown()


def test_all_can_be_reached_by_keyboard(chromium, url, visitor):
    with tab(chromium, url, visitor.cookies) as seen:
        seen.open("")
        seen.page.keyboard.press("Tab")
        assert seen.page.evaluate("document.activeElement.className") == "skip"
        seen.page.keyboard.press("Enter")
        seen.page.wait_for_function("document.activeElement.id === 'main'")
        reached = set()
        for _ in range(12):
            seen.page.keyboard.press("Tab")
            reached.add(seen.page.evaluate("document.activeElement.tagName"))
        assert {"INPUT", "SELECT", "BUTTON", "A"} <= reached


def test_times_of_the_browser_can_be_chosen(chromium, url, visitor):
    with tab(chromium, url, visitor.cookies, timezone_id="Asia/Tokyo") as seen:
        seen.open("runs/1")
        seen.page.locator("button", has_text=re.compile("^browser$")).click()
        seen.see("Times in Asia/Tokyo")
        seen.see("JST")
        seen.page.locator("button", has_text=re.compile("^service$")).click()
        seen.see("Times in Europe/Berlin")
