"""docs/jobs-yaml.md lists exactly the keys that the program reads."""

import re
import subprocess
import sys
from pathlib import Path

from supervisor.config import SCHEMA_FILE, load

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "jobs-yaml.md"


def test_the_reference_is_what_the_table_of_keys_makes_of_it():
    made = subprocess.run(
        [sys.executable, ROOT / "scripts" / "jobs-reference"],
        check=True,
        capture_output=True,
        text=True,
    )

    assert PAGE.read_text() == made.stdout, "scripts/jobs-reference > docs/jobs-yaml.md"


def test_the_schema_in_the_package_is_what_the_command_prints():
    made = subprocess.run(
        [sys.executable, "-m", "supervisor", "schema"],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )

    assert SCHEMA_FILE.read_text() == made.stdout, f"nightshift schema > {SCHEMA_FILE}"


def test_the_example_of_the_reference_holds(tmp_path):
    (example,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), flags=re.M | re.S)
    (tmp_path / "etl").mkdir()
    (tmp_path / "etl" / "nightly.py").write_text("def load(params, report): ...\n")
    (tmp_path / "jobs.yaml").write_text(example)

    loaded = load(tmp_path / "jobs.yaml", {})

    assert loaded.problems == ()
    assert [job.name for job in loaded.config.jobs] == ["fetch", "load"]
