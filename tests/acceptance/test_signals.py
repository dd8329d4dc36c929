"""A SIGTERM between any two steps of the loop is handled at once."""

import subprocess
import sys

import pytest

from tests.acceptance.daemon import LIMIT_S, Sandbox

# A service whose loop is awake, and which gets SIGTERM when `once` makes its Nth call.
INTERRUPTED = """
import select, signal, sys, threading
from pathlib import Path
from supervisor.service import Service, Settings

config, state, wanted = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
service = Service(Settings(config, state, state / "nightshift.sock"))
service.loop.install_signals()
while service.loop.scheduler.has_unsent_alerts:
    service.loop.once()
calls = 0

def strike(frame, event, argument):
    global calls
    if event in ("call", "c_call") and caller(frame, event).co_name == "once":
        calls += 1
        if calls == wanted:
            sys.setprofile(None)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)

def caller(frame, event):
    return (frame.f_back if event == "call" else frame).f_code

service.bridge.wake()
sys.setprofile(strike)
service.loop.once()
sys.setprofile(None)
stopping = service.loop.scheduler.stop_by is not None
woken, _, _ = select.select([service.bridge.wake_fd], [], [], 0)
print("beyond" if calls < wanted else "heeded" if stopping or woken else "missed")
service.close()
"""


def test_a_sigterm_at_any_step_of_the_loop_is_handled_at_once() -> None:
    for step in range(1, 100):
        said = _interrupted_at(step)
        if said == "beyond":
            assert step > 10, "the loop has too few steps"
            return
        assert said == "heeded", f"a SIGTERM at step {step} is not handled at once"
    pytest.fail("the loop did not end after 100 steps")


def _interrupted_at(step: int) -> str:
    with Sandbox("jobs:\n  yearly: {command: [true], cron: '0 0 1 1 *'}\n") as sandbox:
        command = [sys.executable, "-c", INTERRUPTED, sandbox.config, sandbox.state, str(step)]
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S
        )
    return done.stdout.strip()
