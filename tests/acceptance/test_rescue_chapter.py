"""docs/restore.md, chapter 9: from a bucket to a running service, on an empty machine."""

import sqlite3

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.doc_pages import blocks, typed
from tests.workers.s3_server import s3_server

JOBS = """
jobs:
  backup-database:
    worker: backup.run
    with: {database: var/shop.sqlite3.db, directory: var/backups,
           copies: [{to: "${PLACE}", age: ["${AGE}"]}]}
"""
# The variables that a reader exports before the first command.
SETTING = {
    "PLACE": "s3://vault/nightshift",
    "KEY": "key.txt",
    "AWS_ACCESS_KEY_ID": "an-id",
    "AWS_SECRET_ACCESS_KEY": "a-secret-key",
    "AWS_REGION": "us-east-1",
}


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    """Make a bucket with a copy of a lost machine; with the key and the exported variables."""
    pyrage = pytest.importorskip("pyrage", reason="pyrage is not installed")
    key = pyrage.x25519.Identity.generate()
    with s3_server(tmp_path_factory.mktemp("s3")) as s3:
        s3.client.create_bucket(Bucket="vault")
        setting = SETTING | {"AWS_ENDPOINT_URL": s3.endpoint}
        with Sandbox(JOBS) as gone:
            gone.environ |= setting | {"AGE": str(key.to_public())}
            (gone.root / "var").mkdir()
            with sqlite3.connect(gone.root / "var" / "shop.sqlite3.db") as db:
                db.execute("CREATE TABLE goods (name TEXT)")
                db.executemany("INSERT INTO goods VALUES (?)", [(str(n),) for n in range(321)])
            gone.ask("run", "backup-database", "--local")
        yield setting, f"# public key: {key.to_public()}\n{key}\n"


def test_the_chapter_leads_from_a_bucket_to_a_running_service(vault):
    setting, key = vault
    *before, after = blocks("docs/restore.md", "bash")
    with Sandbox("") as new:
        (new.root / "jobs.yaml").unlink(missing_ok=True)
        (new.root / "key.txt").write_text(key)
        new.environ |= setting

        rescued = typed(new, before)
        new.environ["AGE"] = key.split()[3]
        with supervised(new):
            served = typed(new, [after])

    assert "verified" in rescued
    assert "\n321\n" in rescued
    assert "1 job, no mistakes" in rescued
    assert "success" in served
    assert served.count("s3://vault/nightshift/shop-") == 2
    assert served.count(" verified ") == 2


def test_the_file_of_the_page_about_places_has_no_mistakes():
    (jobs,) = blocks("docs/offsite.md", "yaml")
    with Sandbox() as sandbox:
        sandbox.config.write_text(jobs.replace("/run/secrets/", f"{sandbox.root}/"))
        for name in ("s3-id", "s3-key"):
            (sandbox.root / name).write_text("a-secret-of-mine\n")

        checked = sandbox.says("check")

    assert "4 jobs, no mistakes" in checked
