"""docs/deployment.md, the plain way, as a person types it: each command must succeed."""

import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.daemon import House
from tests.waiting import until

PAGE = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.M | re.S)


def test_every_command_of_the_plain_way_succeeds():
    with House() as house:
        shim = house.root / "bin" / "nightshift"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m supervisor "$@"\n')
        shim.chmod(0o755)
        try:
            printed = "".join(_typed(house, block) for block in COMMANDS)
        finally:
            house.ask("stop")  # if a command before it has failed

        assert len(COMMANDS) == 3
        assert "healthy" in printed
        assert "stopped" in printed
        until(lambda: house.ask("status").returncode == 3)


def _typed(house: House, block: str) -> str:
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", block],
        cwd=house.root,
        env={**house.environ, "PATH": f"{house.root / 'bin'}:{house.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout
