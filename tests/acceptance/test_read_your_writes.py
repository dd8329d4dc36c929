"""Read your writes: a client that receives an answer finds its effect published and recorded."""

import subprocess
import sys

from tests.acceptance.daemon import LIMIT_S, Sandbox

# The code that receives an answer reads the published state before anything else runs.
RECEIVED = """
import sqlite3
import sys
from pathlib import Path
from supervisor.api.bridge import Reload
from supervisor.core.control_requests import PauseJob, ResumeJob, RunJobs
from supervisor.core.model import Peer
from supervisor.service import Service, Settings

config, state = Path(sys.argv[1]), Path(sys.argv[2])
service = Service(Settings(config, state, state / "nightshift.sock"))
peer = Peer(0, 0)

def recorded():
    with sqlite3.connect(f"file:{state / 'ledger.sqlite3'}?mode=ro", uri=True) as ledger:
        return ledger.execute("SELECT answer FROM actions ORDER BY rowid DESC").fetchone()[0]

def receives(request, look):
    def received(_answer):
        print(type(request).__name__, look(service.bridge.scheduler), recorded(), sep=", ")
    answer = service.bridge.submit(peer, request)
    answer.add_done_callback(received)
    while not answer.done():
        service.loop.once()

receives(PauseJob("yearly", None), lambda found: found.job_records["yearly"].pause is not None)
receives(ResumeJob("yearly"), lambda found: found.job_records["yearly"].pause is None)
receives(RunJobs(("yearly",)), lambda found: [run.job for run in found.runs.values()])
config.write_text(config.read_text() + "  added: {command: [true]}\\n")
receives(Reload(), lambda found: "added" in found.jobs)
config.write_text("jobs: none")
receives(Reload(), lambda found: len(found.problems))
service.close()
"""


def test_what_was_answered_is_already_seen_and_in_the_ledger() -> None:
    with Sandbox("jobs:\n  yearly: {command: [true], cron: '0 0 1 1 *'}\n") as sandbox:
        command = [sys.executable, "-c", RECEIVED, sandbox.config, sandbox.state]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S
        )

    assert done.stdout.splitlines() == [
        "PauseJob, True, ok",
        "ResumeJob, True, ok",
        "RunJobs, ['yearly'], run 1",
        "Reload, True, ok",
        "Reload, 1, jobs.yaml is refused: 1 problem",
    ]
