"""A power cut while many jobs start: the ledger has a row for each that had begun."""

import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from supervisor.core.model import State
from supervisor.ledger import promises
from supervisor.ledger.store import Store
from tests.acceptance.daemon import Sandbox
from tests.disk_image import a_disk_image, copied_at_one_instant, make_disk_image
from tests.waiting import until

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk, which needs root"),
    pytest.mark.skipif(not shutil.which("mkfs.ext4"), reason="needs mkfs.ext4"),
]

JOBS = 400


def jobs_yaml(marks: Path) -> str:
    lines = [
        f"  job-{n}: {{command: [touch, {marks}/job-{n}], run_on_startup: true}}"
        for n in range(JOBS)
    ]
    return "\n".join(["max_concurrent: 4", "jobs:", *lines, ""])


def test_each_job_that_had_begun_counts_as_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(promises, "boot_id", lambda: "after the cut")
    marks, image = tmp_path / "marks", tmp_path / "disk.img"
    make_disk_image(image, 64 << 20)
    counted_as_begun = 0
    with Sandbox(jobs_yaml(marks)) as box, a_disk_image(image, tmp_path / "disk") as disk:
        for number in range(6):
            marks.mkdir()
            service = box.begin("start", "--state", str(disk / f"state-{number}"))
            enough = random.randrange(20, JOBS - 50)
            until(lambda: len(os.listdir(marks)) >= enough)  # noqa: B023
            os.kill(service.pid, signal.SIGSTOP)
            begun = set(os.listdir(marks))
            copied_at_one_instant(image, tmp_path / "cut.img")
            service.kill()
            service.communicate()
            with a_disk_image(tmp_path / "cut.img", tmp_path / "cut") as cut:
                store = Store(cut / f"state-{number}")
                states = {run.job: run.state for run in store.memory().runs}
                store.close()
            assert not [job for job in begun if states.get(job, State.PENDING) is State.PENDING]
            counted_as_begun += sum(state is State.RUNNING for state in states.values())
            shutil.rmtree(marks)

    assert counted_as_begun > 4 * 6
