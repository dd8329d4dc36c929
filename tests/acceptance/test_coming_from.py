"""docs/coming-from.md: its commands, and its tables of other schedulers' terms."""

import re

import pytest

from supervisor.config import parse
from supervisor.config.foreign_keys import Level, meaning
from supervisor.config.key_table import JOB_KEYS
from tests.acceptance.daemon import Sandbox
from tests.acceptance.doc_pages import ROOT, blocks, typed

PAGE = "docs/coming-from.md"
OTHERS = ("Kubernetes CronJob", "ofelia", "cronstable")

CRONTAB = "#!/bin/sh\necho '30 6 * * 1-5 echo morning'\n"


def test_every_command_of_the_page_succeeds():
    with Sandbox() as sandbox:
        crontab = sandbox.root / "bin" / "crontab"
        crontab.parent.mkdir()
        crontab.write_text(CRONTAB)
        crontab.chmod(0o755)

        units = sandbox.root / "units"
        units.mkdir()
        (units / "tidy.timer").write_text("[Timer]\nOnCalendar=daily\n")
        (units / "tidy.service").write_text("[Service]\nExecStart=/bin/true\n")

        printed = typed(sandbox, blocks(PAGE, "sh"))

        assert "no mistakes" in printed
        assert "timers.yaml: 1 job, no mistakes" in printed
        assert "30 6 * * 1-5" in sandbox.config.read_text()


@pytest.mark.parametrize("other", OTHERS)
def test_the_tables_say_what_check_answers(other: str) -> None:
    """Our own keys are valid as they are; each other word leads to the key in the table."""
    section = (ROOT / PAGE).read_text().partition(f"## From {other}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([\w-]+)`[^|]* \| (.*) \|$", section, flags=re.M)
    ours = {key.name for key in JOB_KEYS}

    assert len(rows) > 8
    for word, said in rows:
        found = meaning(word, Level.JOB)
        assert word in ours or found is not None, word
        if found is not None and found.key and word not in ours:
            assert f"`{found.key}" in said, word


@pytest.mark.parametrize("example", blocks(PAGE, "yaml"))
def test_each_example_has_no_mistake(tmp_path, example: str) -> None:
    assert parse(example.encode(), tmp_path / "jobs.yaml", {}).problems == ()
