"""Shell completion of verbs, options and job names."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.acceptance.daemon import NIGHTSHIFT, Sandbox, living

JOBS = """
jobs:
  backup-all: {command: [/bin/true]}
  backup-one: {command: [/bin/true]}
  report: {command: [/bin/true], enabled: false}
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with living(JOBS) as sandbox:
        yield sandbox


def completed(sandbox: Sandbox, *words: str) -> list[str]:
    """Return what bash would offer for the last of these words."""
    typed = {"COMP_WORDS": " ".join(("nightshift", *words)), "COMP_CWORD": str(len(words))}
    said = sandbox.ask(_NIGHTSHIFT_COMPLETE="bash_complete", **typed)
    assert (said.returncode, said.stderr) == (0, "")
    return [line.partition(",")[2] for line in said.stdout.splitlines() if line]


def test_verbs_and_options_are_completed(sandbox: Sandbox) -> None:
    assert completed(sandbox, "st") == ["start", "stop", "status"]
    assert "--with-deps" in completed(sandbox, "run", "--w")


def test_names_of_jobs_come_from_the_living_supervisor(sandbox: Sandbox) -> None:
    sandbox.config.rename(sandbox.root / "away")

    found = completed(sandbox, "show", "ba")

    (sandbox.root / "away").rename(sandbox.config)
    assert found == ["backup-all", "backup-one"]


def test_a_name_that_is_typed_already_is_not_offered_again(sandbox: Sandbox) -> None:
    assert completed(sandbox, "run", "backup-all", "") == ["backup-one", "report"]


def test_without_a_supervisor_they_come_from_jobs_yaml(sandbox: Sandbox) -> None:
    assert completed(sandbox, "cancel", "--socket", "/nonexistent", "r") == ["report"]


def test_where_nothing_is_known_nothing_is_offered() -> None:
    with Sandbox("jobs: [") as sandbox:
        assert completed(sandbox, "show", "") == []
    with Sandbox() as sandbox:
        assert completed(sandbox, "show", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_us(sandbox: Sandbox, shell: str) -> None:
    assert f"_NIGHTSHIFT_COMPLETE={shell}_complete" in sandbox.says("completion", shell)


def test_bash_completes_with_the_script(sandbox: Sandbox) -> None:
    (sandbox.root / "script").write_text(sandbox.says("completion", "bash"))
    command = sandbox.root / "nightshift"
    command.write_text(f'#!/bin/sh\nexec {" ".join(NIGHTSHIFT)} "$@"\n')
    command.chmod(0o755)
    talk = """
        source ./script
        COMP_WORDS=(nightshift show back) COMP_CWORD=2
        _nightshift_completion ./nightshift
        echo "${COMPREPLY[@]}"
    """

    done = subprocess.run(
        ["bash", "-c", talk], cwd=sandbox.root, env=sandbox.environ, capture_output=True, text=True
    )

    assert (done.stdout, done.stderr) == ("backup-all backup-one\n", "")


def test_another_shell_is_a_usage_error(sandbox: Sandbox) -> None:
    status, said = sandbox.refuses("completion", "tcsh")

    assert (status, "'bash', 'zsh', 'fish'" in said) == (2, True)
