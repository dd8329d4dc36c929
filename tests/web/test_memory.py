"""Imports: a page adds no module to the supervisor, and only needed ones to its own process.

With -X importtime each import is a line in the log of the supervisor, at any time.
"""

import subprocess
import sys

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.waiting import until
from tests.web.visitor import Visitor, page

JOBS = """
jobs:
  hello: {command: echo hi}
  talker: {command: 'echo first; while [ ! -e end ]; do sleep 0.05; done'}
  idle: {command: "true", cron: "0 3 * * *"}
"""
# The paths whose answers are not streams.
COMMANDS = ("status", "jobs", "show hello", "incidents", "next", "reload")
# Without /backups: the child that reads the folders is not part of the supervisor.
PAGES = (
    *("/", "/timeline", "/calendar", "/calendar.ics", "/incidents", "/replication", "/actions"),
    *("/config", "/jobs/idle", "/runs", "/runs/1", "/runs/2", "/runs/1/log"),
)
pytestmark = pytest.mark.timeout(400)


def imported(sandbox: Sandbox) -> list[str]:
    """Return the modules that the supervisor and its children have imported, in order."""
    lines = (sandbox.root / "log").read_text().splitlines()
    return [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]


def test_a_page_imports_nothing_into_the_supervisor():
    with Sandbox(JOBS) as sandbox:
        sandbox.environ["PYTHONPROFILEIMPORTTIME"] = "1"
        with supervised(sandbox):
            del sandbox.environ["PYTHONPROFILEIMPORTTIME"]
            for command in COMMANDS:
                sandbox.says(*command.split())
            for job in ("hello", "talker"):
                sandbox.says("run", job)
            until(lambda: (sandbox.state / "runs" / "2.log").exists())
            until(lambda: sandbox.json("show", "hello")["status"]["last"])
            before = imported(sandbox)
            with page(sandbox) as url:
                visitor = Visitor(url).sign_in()
                for path in PAGES:
                    assert visitor.get(path).status == 200
                (sandbox.root / "end").touch()
                assert "ended" in visitor.get("/runs/2/log/stream").text
                until(lambda: "success" in visitor.get("/runs/2").text)

            assert "supervisor.api.streams" in before
            assert imported(sandbox) == before


def test_the_page_begins_without_what_only_some_pages_need():
    code = "import sys, supervisor.web.app, supervisor.web.server; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    found = set(done.stdout.split())
    assert "supervisor.web.views.jobs" in found
    rare = {"rich", "sqlite3", "ctypes", "psycopg", "yaml", "requests", "supervisor.reloader"}
    assert not found & {
        *rare,
        "supervisor.core.simulation.engine",
        "supervisor.config.worker_check",
    }
