"""The schema of a cluster in databases that others have made; DSNs that hold passwords."""

import psycopg
import pytest
from psycopg import conninfo

from supervisor.cluster import install, session
from tests.fix_postgres import needs_account
from workers import postgres_dsn

SCHEMA = session.schema_of("main")


@pytest.mark.parametrize(
    "dsn",
    [
        "postgres//owner:s3cr3tpw@db/x",
        "mysql://owner:s3cr3tpw@db/x",
        "postgresql://owner:s3cr%3tpw@127.0.0.1/x",
        "postgresql://owner:x@s3cr3tpw@127.0.0.1:1/x",
        "postgresql://owner:x@s3cr3tpw@127.0.0.1,127.0.0.1:1/x",
        "postgresql://owner:s3cr3tpw/x@127.0.0.1/x",
        "postgresql://owner:s3cr3tpw@[::1/x",
        "host=127.0.0.1 port=1 dbname='postgresql://owner:s3cr3tpw@db/x'",
        "host=127.0.0.1 passwort=s3cr3tpw",
    ],
)
def test_no_part_of_a_dsn_that_cannot_be_read_is_repeated(dsn):
    with pytest.raises(psycopg.Error) as failed:
        session.connect(dsn, SCHEMA)

    assert "s3cr" not in str(failed.value)
    assert str(failed.value).startswith("the DSN: expected ")


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "service=ops",
        "host=@abstract port=5432",
        "postgresql://o:p%40%3A%2F%25x@[::1]:5433,db.example:5434/x",
        "host=/run/postgresql,db port=5432,",
        "postgresql:///x?host=/run/postgresql&port=5433",
    ],
)
def test_other_forms_of_a_dsn_are_read(dsn, monkeypatch):
    for name in ("PGDATABASE", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)

    assert isinstance(postgres_dsn.read(dsn), dict)


@needs_account
@pytest.mark.long
def test_a_schema_of_another_program_is_left_as_it_is(postgres):
    with psycopg.connect(postgres, autocommit=True) as other:
        other.execute(f"CREATE SCHEMA {SCHEMA}")
        other.execute(f"CREATE TABLE {SCHEMA}.shared (key text, value text)")
        other.execute("DROP ROLE IF EXISTS hosts_of_test; CREATE ROLE hosts_of_test")
        with (
            session.connect(postgres, SCHEMA) as db,
            pytest.raises(install.ClusterSchemaError, match="is no cluster of nightshift"),
        ):
            install.install(db, SCHEMA, "hosts_of_test")
        may_delete = other.execute(
            "SELECT has_table_privilege('hosts_of_test', %s, 'DELETE')", (f"{SCHEMA}.shared",)
        ).fetchone()
        other.execute("DROP ROLE hosts_of_test")

    assert may_delete == (False,)


@needs_account
@pytest.mark.long
def test_an_owner_of_an_empty_schema_needs_no_right_to_the_database(postgres):
    with psycopg.connect(postgres, autocommit=True) as other:
        other.execute("CREATE ROLE \"an owner\" LOGIN PASSWORD 'p@:/%x'")
        try:
            other.execute(f'CREATE SCHEMA {SCHEMA} AUTHORIZATION "an owner"')
            dsn = conninfo.make_conninfo(postgres, user="an owner", password="p@:/%x")
            with session.connect(dsn, SCHEMA) as db:
                made = [install.install(db, SCHEMA, None) for _ in range(2)]
                wrong = install.check(db)
                other.execute(f'REVOKE USAGE ON SCHEMA {SCHEMA} FROM "an owner"')
                without = install.check(db)
        finally:
            other.execute('DROP OWNED BY "an owner" CASCADE')
            other.execute('DROP ROLE "an owner"')

    assert (made, wrong) == ([True, False], "")
    assert without.startswith("the role an owner may not use the cluster's schema: ")
