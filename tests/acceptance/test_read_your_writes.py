"""Read your writes: a client that receives an answer finds its effect published."""

import subprocess
import sys

from tests.acceptance.daemon import LIMIT_S, Sandbox

# The code that receives an answer reads the published state before anything else runs.
RECEIVED = """
import sys
from pathlib import Path
from supervisor.core.control_requests import PauseJob, ResumeJob, RunJobs
from supervisor.core.model import Peer
from supervisor.service import Service, Settings

config, state = Path(sys.argv[1]), Path(sys.argv[2])
service = Service(Settings(config, state, state / "nightshift.sock"))
peer = Peer(0, 0)

def receives(request, look):
    def received(_answer):
        print(type(request).__name__, look(service.bridge.scheduler))
    answer = service.bridge.submit(peer, request)
    answer.add_done_callback(received)
    while not answer.done():
        service.loop.once()

receives(PauseJob("yearly", None), lambda found: found.job_records["yearly"].pause is not None)
receives(ResumeJob("yearly"), lambda found: found.job_records["yearly"].pause is None)
receives(RunJobs(("yearly",)), lambda found: [run.job for run in found.runs.values()])
service.close()
"""


def test_what_was_answered_is_already_seen() -> None:
    with Sandbox("jobs:\n  yearly: {command: [true], cron: '0 0 1 1 *'}\n") as sandbox:
        command = [sys.executable, "-c", RECEIVED, sandbox.config, sandbox.state]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S
        )

    assert done.stdout.splitlines() == ["PauseJob True", "ResumeJob True", "RunJobs ['yearly']"]
