"""Settings of the client, the role and the search source change nothing of a replication."""

import psycopg
import pytest

from tests.workers.fixtures_replication import (
    a_source,
    failure,
    run,
    sql,
    unequal,
    write,
)


def test_libpqs_own_environment_leads_the_way(source, postgres, monkeypatch):
    given = psycopg.conninfo.conninfo_to_dict(postgres)
    for name, variable in (
        ("host", "PGHOST"), ("port", "PGPORT"), ("user", "PGUSER"), ("dbname", "PGDATABASE"),
    ):  # fmt: skip
        monkeypatch.setenv(variable, str(given.get(name, "")))

    run(source, "")

    assert unequal(source, postgres) == {}


def test_empty_variables_of_libpq_are_as_good_as_unset(source, postgres, monkeypatch):
    names = (
        "PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGAPPNAME",
        "PGCONNECT_TIMEOUT", "PGCLIENTENCODING",
    )  # fmt: skip
    for name in names:
        monkeypatch.setenv(name, "")

    run(source, postgres)

    # psycopg itself accepts no empty one.
    monkeypatch.delenv("PGCONNECT_TIMEOUT")
    assert unequal(source, postgres) == {}
    assert "the local socket:5432" in failure(source, "dbname=nothing_there").error


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "SJIS"])
def test_no_encoding_of_the_client_stands_between(encoding, tmp_path, postgres, monkeypatch):
    source = a_source(tmp_path / "a.db", 'CREATE TABLE "☃" ("ключ é" TEXT PRIMARY KEY)')
    write(source, "INSERT INTO \"☃\" VALUES ('naïve 😀')")
    monkeypatch.setenv("PGCLIENTENCODING", encoding)
    schema = "схема {é} %s 'x' ☃"

    run(source, postgres, schema=schema)
    run(source, f"{postgres} client_encoding={encoding}", schema=schema, verify_only=True)

    monkeypatch.delenv("PGCLIENTENCODING")
    assert unequal(source, postgres, schema) == {}


@pytest.mark.parametrize("setting", ["extra_float_digits=0", "quote_all_identifiers=on"])
def test_no_setting_of_the_role_stands_between(setting, tmp_path, postgres):
    source = a_source(tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, r REAL, b BLOB)")
    write(source, "INSERT INTO t VALUES (1, 0.3, x'00ff')")
    set_so = f"{postgres} options='-c {setting}'"
    run(source, set_so, proof_budget=0)
    write(source, "UPDATE t SET r = 0.30000000000000004")

    result = run(source, set_so, proof_budget=0)

    assert result["updated"] == 1
    assert unequal(source, postgres) == {}


@pytest.mark.parametrize(
    "function",
    [
        "md5(text) RETURNS text IMMUTABLE LANGUAGE sql AS $$"
        " SELECT '00000000000000000000000000000000' $$",
        "pg_try_advisory_xact_lock(bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$",
        "hashtextextended(text, bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT NULL::bigint $$",
    ],
)
def test_functions_of_the_search_path_do_not_stand_in_for_postgresqls(
    function, tmp_path, postgres
):
    source = a_source(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 2)",
    )
    sql(postgres, f"CREATE FUNCTION {function}")
    other = f"{postgres} options='-c search_path=public,pg_catalog'"
    run(source, other)

    assert run(source, other, verify_only=True)["differing"] == 0
