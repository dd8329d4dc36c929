"""contrib/man: generated from the commands and keys, and free of mandoc's errors."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.cli.main import COMMANDS, program

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "contrib" / "man"
PAGES = sorted(FOLDER.glob("man?/*"))
# A date would make two builds differ. The one line of NAME cannot be broken.
ALLOWED = ("missing date", r"longer than 80 bytes: \S+ \\- ", "longer than 80 bytes: nightshift")


def test_the_pages_are_what_the_script_makes(tmp_path):
    subprocess.run([sys.executable, ROOT / "scripts" / "man-pages", tmp_path], check=True)

    made = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.glob("man?/*")}
    assert made == {str(path.relative_to(FOLDER)): path.read_text() for path in PAGES}, (
        "scripts/man-pages"
    )


def test_every_command_and_the_file_have_a_page():
    names = {path.name for path in PAGES}

    assert names == {
        "nightshift.1",
        "nightshift-jobs.yaml.5",
        *(f"nightshift-{command}.1" for command in COMMANDS),
    }


@pytest.mark.skipif(shutil.which("man") is None, reason="there is no man here")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_man_reads_the_page_without_a_warning(page):
    command = ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page]

    done = subprocess.run(command, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="there is no mandoc here")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_mandoc_finds_nothing_wrong(page):
    done = subprocess.run(["mandoc", "-T", "lint", page], capture_output=True, text=True)

    said = [
        line
        for line in done.stdout.splitlines()
        if not any(re.search(allowed, line) for allowed in ALLOWED)
    ]
    assert said == []


@pytest.mark.skipif(shutil.which("man") is None, reason="there is no man here")
def test_an_option_and_an_example_are_printed_as_they_are_typed():
    page = FOLDER / "man1" / "nightshift-run.1"
    environ = {"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LC_ALL": "C", "MANPAGER": "cat"}

    text = subprocess.run(
        ["man", "-l", page], capture_output=True, text=True, env=environ, check=True
    ).stdout

    found = [param.opts[0] for param in program.get_command(None, "run").params if param.opts]
    options = [option for option in found if option.startswith("--")]
    assert len(options) > 5
    assert [option for option in options if option not in text] == []
    assert "\n           nightshift run rotate-backups --dry-run --set max_delete=50\n" in text
