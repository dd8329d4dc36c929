"""An HTTP client like a browser: requests pages and keeps their cookies."""

import http.client
import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from tests.acceptance.daemon import LIMIT_S, Forked, Sandbox

# Imported here, so that no fork has to import them.
for name in ("app", "server"):
    importlib.import_module(f"supervisor.web.{name}")
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: status, headers in lower case, text."""

    status: int
    headers: dict[str, str]
    text: str


class Visitor:
    """One browser; url: as `nightshift web` prints it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self.address = parts.hostname, parts.port
        self.base = parts.path.rstrip("/")
        self.token = parts.query
        self.cookies: dict[str, str] = {}

    def sign_in(self) -> "Visitor":
        """Open the printed URL; return this visitor."""
        answer = self.get(f"/?{self.token}")
        assert answer.status == 303, answer.text
        return self

    def get(self, path: str, **headers: str) -> Answer:
        """GET a path below the base."""
        return self.ask("GET", path, None, headers)

    def post(self, path: str, form: dict[str, str], **headers: str) -> Answer:
        """POST a form as a browser does: with the origin and the token of a page."""
        origin = f"http://{self.address[0]}:{self.address[1]}"
        browser = {"Origin": origin, "Sec-Fetch-Site": "same-origin", **_named(headers)}
        return self.ask("POST", path, {"csrf": self.csrf(), **form}, browser)

    def csrf(self) -> str:
        """Return the token of a form on the first page, "" if there is none."""
        found = _CSRF.search(self.get("/jobs").text)
        return found[1] if found else ""

    def ask(
        self, verb: str, path: str, form: dict[str, str] | None, headers: dict[str, str]
    ) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection(*self.address, timeout=LIMIT_S)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {
            "Connection": "close",
            **({"Cookie": cookies} if cookies else {}),
            **_named(headers),
        }
        body = None
        if form is not None:
            body = urlencode(form)
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        connection.request(verb, self.base + path, body, sent)
        answer = connection.getresponse()
        for name, value in answer.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self.cookies[key] = rest.partition(";")[0]
        found = {name.lower(): value for name, value in answer.getheaders()}
        text = answer.read().decode(errors="replace")
        connection.close()
        return Answer(answer.status, found, text)


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def page(sandbox: Sandbox, *words: str) -> Iterator[str]:
    """Run `nightshift web` beside the sandbox's supervisor; yield the URL that it prints."""
    listens = () if "--listen" in words else ("--port", "0")
    with open(sandbox.root / "web.log", "w") as log:
        process = sandbox.fork("web", *listens, *words, stderr=log)
        try:
            yield printed_url(process, sandbox)
        finally:
            assert process.end() == 0


def printed_url(process: Forked, sandbox: Sandbox) -> str:
    """Return the first line that the page prints."""
    line = process.stdout.readline().strip()
    assert line.startswith("http://"), (line, (sandbox.root / "web.log").read_text())
    return line


def ran(sandbox: Sandbox, job: str) -> int:
    """Run a job to its end, and return the number of the run."""
    sandbox.says("run", job, "--wait")
    number: int = sandbox.json("history", job, "-n", "1")["runs"][0]["id"]
    return number
