"""README.md: each block of commands.

The installation block is for scripts/release-check, which tries it with the wheel. The
quickstart has its own test, and the remaining command is the one that runs all tests.
"""

import subprocess
import sys

from tests.acceptance import raw_client
from tests.acceptance.daemon import LIMIT_S, Sandbox
from tests.acceptance.doc_pages import ROOT, blocks, typed
from tests.waiting import until

INSTALL, FIRST_MINUTES, TWO_COMMANDS, SERVICE = blocks("README.md", "sh")


def test_the_lines_of_installation_are_those_that_a_release_is_tried_with() -> None:
    pipx, uv, docker = INSTALL.splitlines()
    script = (ROOT / "scripts" / "release-check").read_text()

    assert pipx.startswith("pipx install 'nightshift-cron[web]'")
    assert uv.startswith("uv tool install 'nightshift-cron[web]'")
    assert docker in (ROOT / "docs" / "deployment.md").read_text()
    assert 'pipx" install "$what"' in script
    assert 'uv" tool install' in script


def test_the_two_commands_are_there_to_be_run() -> None:
    scripts = [ROOT / row.split("#")[0].strip() for row in TWO_COMMANDS.splitlines()]

    assert [script.name for script in scripts] == ["quickstart", "test"]
    for script in scripts:
        subprocess.run(["sh", "-n", script], check=True)


def test_the_first_minutes_are_those_of_the_tutorial() -> None:
    typed_first = [row.split("#")[0].strip() for row in FIRST_MINUTES.splitlines()]

    assert typed_first == ["nightshift init", "nightshift start", "nightshift status"]


def test_the_service_is_begun_and_looked_at_as_readme_says() -> None:
    begin, look = SERVICE.splitlines()
    with Sandbox((ROOT / "jobs.yaml").read_text()) as sandbox:
        del sandbox.environ["NIGHTSHIFT_STATE_DIR"]
        venv = sandbox.root / ".venv" / "bin" / "nightshift"
        venv.parent.mkdir(parents=True)
        venv.write_text(f'#!/bin/sh\nexec {sys.executable} -m supervisor "$@"\n')
        venv.chmod(0o755)
        (sandbox.root / "var").mkdir()
        sandbox.socket = sandbox.root / "var" / "state" / "nightshift.sock"
        service = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {begin}"],
            cwd=sandbox.root,
            env=sandbox.environ,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: raw_client.is_healthy(sandbox), within_s=LIMIT_S)
            seen = typed(sandbox, [look])
        finally:
            service.terminate()
            service.wait(LIMIT_S)

    assert service.returncode == 0
    assert "database-health-check" in seen
