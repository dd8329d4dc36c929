"""Ctrl-C while a command is still being imported: exit status 130, and no traceback."""

import subprocess
import sys

import pytest

# A real SIGINT, at the moment when the named module is looked for.
INTERRUPTED = """
import os, signal, sys
import supervisor.__main__

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

module = sys.argv[1]
sys.argv = ["nightshift", "schema"]
sys.meta_path.insert(0, Interrupt())
sys.exit(supervisor.__main__.main())
"""


@pytest.mark.parametrize(
    "module", ["supervisor.cli.inherited_state", "click", "supervisor.cli.commands.schema"]
)
def test_ctrl_c_during_an_import_leaves_no_traceback(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr
