"""Signals read from a file descriptor."""

import subprocess
import sys

CODE = """
import os, select, signal
from supervisor.containment import signal_fd
signal.signal(signal.SIGTERM, signal.SIG_IGN)
fd = signal_fd.open_signal_fd()

def is_ready():
    return bool(select.select([fd], [], [], 0)[0])

print(is_ready())
os.kill(os.getpid(), signal.SIGTERM)
print(is_ready())
signal_fd.drain(fd)
signal_fd.drain(fd)
print(is_ready())
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(is_ready())
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
print(is_ready(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
signal_fd.drain(fd)
child = os.posix_spawn("/bin/sh", ["sh", "-c", "kill $$; echo survived"], {}, setsigmask=())
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_the_descriptor_shows_the_signals_of_the_process_that_reads_it():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "True", "False", "True", "1", "-15"]
