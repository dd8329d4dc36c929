"""What a page of a hundred jobs costs, compared with the peer's page, in a real Chromium.

    python benchmarks/page.py [--rounds N] [--values FILE]

Each round opens each page twice in a warm browser, each time in a new context with an empty
cache. The first time nothing disturbs it, for the first paint: a script that searches for a
text would force a layout, which delays the paint. The tab is opened a second earlier, because
the window of this browser is a page as well and takes more CPU at its start than everything
measured. The second time is for the time until the first job is in its table, bytes, requests,
and the memory of the serving process: for ours the process of the page beside the service, for
the peer the service itself. For ours also: from the request that pauses a job to the page that
shows it, without a reload. The side `floor` is a page of one line from a bare socket: no page
can take less in this browser on this machine. Without Chromium nothing is measured.
"""

import dataclasses
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import interleave
import options
from measured import ALL, Measured
from memory import ended, machine, pss_bytes
from peers import CRONSTABLE, NEVER, OURS, ROOT, answer, environment, living
from rows import PAGE, table

JOBS = {f"job-{number:03}": ("/bin/true",) for number in range(100)}
FIRST = next(iter(JOBS))
LIMIT_MS = 60_000
WINDOW_MS = 1_000
_PAINT = """() => performance.getEntriesByType("paint").map(each => each.startTime)[0] || 0"""
# Small enough for one segment; its connection stays open, as with a server.
_FLOOR = f"<!doctype html><title>floor</title><p>{FIRST}".encode()
_SEEN = "name => document.body && document.body.innerText.includes(name)"


def main() -> None:
    """Run the rounds and print the table."""
    parser = options.parser(__doc__, "what a page costs", rounds=7)
    given = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        parser.error("playwright is not installed")
    if browser is None:
        print("no chromium is installed: the page is not measured")
        return
    options.end_on_signals()
    measured = Measured()
    with (
        tempfile.TemporaryDirectory(prefix="bench-page-", dir="/tmp") as folder,
        floor_page() as floor,
        our_page(Path(folder, "ours")) as ours,
        their_page(Path(folder, "theirs")) as theirs,
        sync_playwright() as driver,
    ):
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        cookies = signed_in(chromium, ours[0])
        sides = {
            "nightshift": (*ours, cookies),
            "cronstable": (*theirs, []),
            "floor": (floor, 0, []),
        }
        changed = {"nightshift": Path(folder, "ours", "socket")}
        failures = interleave.in_turn(
            given.rounds,
            list(sides),
            lambda name: measure_side(chromium, name, *sides[name], measured, changed.get(name)),
            measured,
            given.values,
        )
        chromium.close()
    print(f"a page of {len(JOBS)} jobs, medians of {given.rounds} rounds in turn; {machine()}\n")
    print(table(measured, PAGE))
    sys.exit("\n".join(failures) or None)


def measure_side(
    chromium: Any,
    name: str,
    url: str,
    pid: int,
    cookies: list[Any],
    measured: Measured,
    api: Path | None,
) -> None:
    """Open the page twice and add its costs; api: socket of the measured change, or None."""
    address = url.partition("?")[0]
    with tab(chromium, cookies) as page:
        page.wait_for_timeout(WINDOW_MS)
        page.goto(address, timeout=LIMIT_MS)
        page.wait_for_function(_PAINT, timeout=LIMIT_MS, polling=100)
        measured.add("page paint", ALL, name, page.evaluate(_PAINT) / 1e3)
    if not pid:
        return
    with tab(chromium, cookies) as page:
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        sizes: list[float] = []
        asked: list[str] = []
        network.on("Network.loadingFinished", lambda each: sizes.append(each["encodedDataLength"]))
        network.on("Network.requestWillBeSent", lambda each: asked.append(each["request"]["url"]))
        page.goto(address, wait_until="commit", timeout=LIMIT_MS)
        page.wait_for_function(_SEEN, arg=FIRST, timeout=LIMIT_MS, polling=5)
        measured.add("page table", ALL, name, page.evaluate("performance.now()") / 1e3)
        page.wait_for_timeout(500)  # the rest that the table does not wait for is loaded, too
        measured.add("page bytes", ALL, name, sum(sizes))
        measured.add("page requests", ALL, name, len(asked))
        measured.add("page memory", ALL, name, pss_bytes(pid))
        if api is not None:
            measured.add("page change", ALL, name, change_s(page, api))


@contextmanager
def tab(chromium: Any, cookies: list[Any]) -> Iterator[Any]:
    """Yield a tab of a context with these cookies and an empty cache."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    try:
        context.add_cookies(cookies)
        yield context.new_page()
    finally:
        context.close()


def change_s(page: Any, api: Path) -> float:
    """Pause a job over the socket; return the seconds until the page shows it."""
    button = f"#job-{FIRST} button:has-text('{{}}')"
    began = time.perf_counter()
    ask(api, "pause")
    page.wait_for_selector(button.format("Resume"), timeout=LIMIT_MS)
    took_s = time.perf_counter() - began
    ask(api, "resume")
    page.wait_for_selector(button.format("Pause"), timeout=LIMIT_MS)
    return took_s


def ask(api: Path, verb: str) -> None:
    """Ask the service to pause or resume the first job. Raises: OSError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(api))
        path = f"/v1/jobs/{FIRST}/{verb}"
        head = f"POST {path} HTTP/1.1\r\nHost: nightshift\r\nContent-Length: 2\r\n\r\n{{}}"
        connection.sendall(head.encode())
        answer(connection)


def signed_in(chromium: Any, url: str) -> list[Any]:
    """Return the cookies of a browser that opened the printed URL."""
    context = chromium.new_context()
    context.new_page().goto(url)
    found: list[Any] = context.cookies()
    context.close()
    return found


@contextmanager
def floor_page() -> Iterator[str]:
    """Yield the URL of a page of one line, answered by a bare socket in a thread."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(_FLOOR)}\r\n\r\n"

    def answer_all(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while connection.recv(65536):
                connection.sendall(head.encode() + _FLOOR)

    def accept_all() -> None:
        with suppress(OSError):  # closed below
            while True:
                connection = listening.accept()[0]
                threading.Thread(target=answer_all, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept_all, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        listening.shutdown(socket.SHUT_RDWR)


@contextmanager
def our_page(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield URL and pid of our page, beside its service."""
    with living(OURS, folder, JOBS, NEVER):
        command = [sys.executable, "-m", "supervisor", "--socket", str(folder / "socket"), "web"]
        process = subprocess.Popen(
            [*command, "--port", "0"],
            cwd=ROOT,
            env=environment(folder),
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip(), process.pid
        finally:
            ended(process, 5.0)


@contextmanager
def their_page(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield URL and pid of the peer, which serves its page itself."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def text(commands: Any, cron: str, where: Path) -> str:
        written = CRONSTABLE.text(commands, cron, where)
        return written.replace("  listen:\n", f"  listen:\n    - http://127.0.0.1:{port}\n")

    with living(dataclasses.replace(CRONSTABLE, text=text), folder, JOBS, NEVER) as service:
        yield f"http://127.0.0.1:{port}/", service.pid


if __name__ == "__main__":
    main()
