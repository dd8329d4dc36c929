"""docs/replication.md: its SQL is executed, and the rights that it grants are enough."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.workers.fixtures_replication import a_source, failure, run, sql, unequal, write

GUIDE = (Path(__file__).parents[2] / "docs" / "replication.md").read_text()

SQL = re.findall(r"^```sql\n(.*?)^```", GUIDE, flags=re.M | re.S)
SQLITE = re.findall(r"^```sqlite\n(.*?)^```", GUIDE, flags=re.M | re.S)
SCRIPT = """
CREATE TABLE cards (id TEXT PRIMARY KEY, hp INTEGER);
INSERT INTO cards VALUES ('a', 1), ('b', 2)"""


@pytest.fixture
def granted(postgres):
    """Return the database after the guide's statements, and the role's own DSN."""
    for role in ("reader", "nightshift"):
        if sql(postgres, f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'"):
            pytest.skip(f"the server has a role {role} already")
    rights, fallback, readers, _ = SQL
    sql(postgres, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
    sql(postgres, f"REVOKE ALL ON DATABASE {postgres_name(postgres)} FROM PUBLIC")
    for block in (rights, fallback, readers):
        sql(postgres, block)
    yield psycopg.conninfo.make_conninfo(postgres, user="nightshift")
    for role in ("nightshift", "reader"):
        sql(postgres, f"DROP OWNED BY {role}")
        sql(postgres, f"DROP ROLE {role}")


def postgres_name(dsn):
    return psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]


@pytest.mark.parametrize("capture", ["compare", "triggers"])
def test_the_rights_of_the_guide_are_enough_and_least(capture, granted, postgres, tmp_path):
    path = a_source(tmp_path / "a.db", SCRIPT)

    run(path, granted, schema="catalogue", capture=capture)
    write(path, "UPDATE cards SET hp = 3; ALTER TABLE cards ADD COLUMN name TEXT")
    run(path, granted, schema="catalogue", capture=capture)
    run(path, granted, schema="catalogue", verify_only=True)
    elsewhere = failure(path, granted, schema="of_someone_else", capture=capture)

    assert unequal(path, granted, "catalogue") == {}
    assert "permission denied" in elsewhere.error
    assert "the role lacks a right, see docs/replication.md" in elsewhere.error


def test_readers_see_the_tables(granted, postgres, tmp_path):
    run(a_source(tmp_path / "a.db", SCRIPT), granted, schema="catalogue")
    sql(postgres, f"GRANT CONNECT ON DATABASE {postgres_name(postgres)} TO reader")

    reader = psycopg.conninfo.make_conninfo(postgres, user="reader")

    assert sql(reader, "SELECT count(*) FROM catalogue.cards") == [(2,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        sql(reader, "DELETE FROM catalogue.cards")


def test_the_age_of_the_proof_can_be_asked(granted, postgres, tmp_path):
    run(a_source(tmp_path / "a.db", SCRIPT), granted, schema="catalogue")

    ((unproved, behind),) = sql(postgres, SQL[-1])

    assert 0 <= behind.total_seconds() <= unproved.total_seconds() < 60


def test_the_triggers_can_be_given_up(postgres, tmp_path):
    path = a_source(tmp_path / "a.db", SCRIPT)
    run(path, postgres, capture="triggers")

    with closing(sqlite3.connect(path)) as database:
        database.executescript(SQLITE[0])
        query = "SELECT name FROM sqlite_master WHERE name LIKE 'nightshift%'"
        left = database.execute(query).fetchall()

    assert left == []
