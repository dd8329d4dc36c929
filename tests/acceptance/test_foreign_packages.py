"""`supervisor` and `workers` are common names: foreign packages are refused or never imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.daemon import Sandbox, supervised

ROOT = Path(__file__).parents[2]
SCRIPT = "import sys; from supervisor.__main__ import main; sys.exit(main())"


@pytest.mark.parametrize("name", ["supervisor", "workers"])
@pytest.mark.parametrize("text", ["", '__version__ = "4.2.5"\n'], ids=["empty", "with a version"])
def test_a_package_of_our_name_before_ours_is_refused_in_words(tmp_path, name, text):
    outsider = tmp_path / "strange" / name
    outsider.mkdir(parents=True)
    (outsider / "__init__.py").write_text(text)
    ours = tmp_path / "ours"
    for package in ("supervisor", "workers"):
        (ours / package).mkdir(parents=True)
        for file in ("__init__.py", "__main__.py"):
            if (ROOT / package / file).exists():
                (ours / package / file).write_bytes((ROOT / package / file).read_bytes())
    if name == "supervisor":  # installed over ours: our other modules are still there
        (ours / name / "__init__.py").write_text(text)
        path = str(ours)
    else:
        path = os.pathsep.join([str(outsider.parent), str(ours)])

    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", SCRIPT, "start"],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert f"the package `{name}` at " in done.stderr
    assert "a virtual environment of its own" in done.stderr
    assert "Traceback" not in done.stderr


def test_packages_in_the_working_folder_are_not_looked_at():
    with Sandbox("jobs: {hello: {command: [/bin/echo, hi]}}\n") as sandbox:
        for name in ("supervisor", "workers"):
            (sandbox.root / name).mkdir()
            (sandbox.root / name / "__init__.py").write_text("raise SystemExit('a outsider')\n")
        # `python -m` searches the working folder first; the installed command does not.
        sandbox.environ["PYTHONSAFEPATH"] = "1"
        with supervised(sandbox):
            del sandbox.environ["PYTHONSAFEPATH"]

            assert "nothing changed" in sandbox.says("reload")
            assert "success" in sandbox.says("run", "hello", "--wait")
