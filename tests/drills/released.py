"""The service of an earlier release: its code from git's history, with today's libraries."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance import raw_client
from tests.acceptance.daemon import LIMIT_S, Sandbox
from tests.waiting import until

ROOT = Path(__file__).parents[2]
# The last commit of 25 November 2026, when 0.1.0 was measured and its changes were listed.
RELEASES = {"0.1.0": "90847822"}
# What a release needs and this version does not.
LIBRARIES = {"0.1.0": ["immutables"]}


def code_of(version: str, folder: Path) -> Path:
    """Write the packages and jobs.yaml of a release to `folder`; skip if git lacks the commit."""
    commit = RELEASES[version]
    command = ["git", "-C", ROOT, "archive", commit, "supervisor", "workers", "jobs.yaml"]
    try:
        done = subprocess.run(command, capture_output=True)
    except OSError as error:
        pytest.skip(f"{version} is built from the history, which needs git: {error}")
    if done.returncode != 0:
        pytest.skip(f"the history has no {commit} ({version}): {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder]
    installed = subprocess.run([*install, *LIBRARIES[version]], capture_output=True, text=True)
    if installed.returncode != 0:
        pytest.skip(f"{LIBRARIES[version]} cannot be installed: {installed.stderr.strip()}")
    return folder


class Released:
    """A release in a sandbox, controlled by its own command line."""

    def __init__(self, sandbox: Sandbox, code: Path) -> None:
        self._sandbox, self._code = sandbox, code

    def says(self, *words: str) -> str:
        """Return the output of a command of the release, which must succeed."""
        with self._in_the_environment():
            process = self._sandbox.begin(*words)
        said, error = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, f"{words}: {said}{error}"
        return said

    @contextmanager
    def serving(self) -> Iterator["subprocess.Popen[str]"]:
        """Run the release's supervisor during the block, then kill it without a shutdown."""
        with open(self._sandbox.root / "old.log", "w") as log:
            with self._in_the_environment():
                process = self._sandbox.begin("start", stdout=log, stderr=log)
            try:
                until(lambda: self._answers_or_ended(process), within_s=LIMIT_S)
                assert process.poll() is None, (self._sandbox.root / "old.log").read_text()
                yield process
            finally:
                process.kill()
                process.wait(LIMIT_S)

    def _answers_or_ended(self, process: "subprocess.Popen[str]") -> bool:
        return process.poll() is not None or raw_client.is_healthy(self._sandbox)

    @contextmanager
    def _in_the_environment(self) -> Iterator[None]:
        """Make Python find the release before the installed version."""
        before = self._sandbox.environ.get("PYTHONPATH", "")
        path = f"{before}{os.pathsep}{self._code}".lstrip(os.pathsep)
        self._sandbox.environ["PYTHONPATH"] = path
        try:
            yield
        finally:
            self._sandbox.environ["PYTHONPATH"] = before
