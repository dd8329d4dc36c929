"""Tables of every shape that SQLite allows are replicated; exceptions are named."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workers.fixtures_replication import (
    a_source,
    failure,
    logged,
    run,
    sql,
    types,
    unequal,
    write,
)
from workers.replication import Params

BOTH = pytest.mark.parametrize("capture", ["compare", "triggers"])
AWKWARD = r"""
PRAGMA foreign_keys = OFF;
CREATE TABLE composite (b TEXT, a INTEGER, v REAL, PRIMARY KEY (a, b));
CREATE TABLE text_key (id TEXT PRIMARY KEY, v);
CREATE TABLE mixed_case (id TEXT PRIMARY KEY COLLATE NOCASE, v TEXT);
CREATE TABLE blob_key (id BLOB PRIMARY KEY NOT NULL, v TEXT);
CREATE TABLE real_key (id REAL PRIMARY KEY NOT NULL, v TEXT);
CREATE TABLE without_row_numbers (k TEXT, n INTEGER, v TEXT, PRIMARY KEY (n DESC, k))
    WITHOUT ROWID;
CREATE TABLE strict_one (id INTEGER PRIMARY KEY, a ANY, t TEXT, b BLOB, r REAL) STRICT;
CREATE TABLE no_key (a TEXT, b INTEGER);
CREATE TABLE no_key_rowid_taken (rowid TEXT, _rowid_ TEXT);
CREATE TABLE only_a_key (id INTEGER PRIMARY KEY);
CREATE TABLE null_in_key (id TEXT PRIMARY KEY, v TEXT);
CREATE TABLE generated (id INTEGER PRIMARY KEY, a INT, twice INT AS (a * 2) VIRTUAL,
    words TEXT GENERATED ALWAYS AS (a || ' words') STORED);
CREATE TABLE "select" ("order" INTEGER PRIMARY KEY, "from" TEXT, "Group By" TEXT, "a""b" TEXT,
    "100%s" TEXT, "%(x)s" TEXT, "back\slash" TEXT, "naïve 😀" TEXT, hash TEXT, extra TEXT,
    k0 TEXT);
CREATE TABLE "Upper And Blank's" (id INTEGER PRIMARY KEY, "CaMeL" TEXT, camel_ TEXT);
CREATE TABLE "100% %s" (id INTEGER PRIMARY KEY, v TEXT);
CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent(id));
CREATE TABLE parent (id INTEGER PRIMARY KEY, child INTEGER REFERENCES child(id));
CREATE TABLE point (id INTEGER PRIMARY KEY, p "FLOATING POINT");
CREATE TABLE empty_one (id INTEGER PRIMARY KEY, v NUMERIC);
CREATE VIRTUAL TABLE searched USING fts5(words);
CREATE VIEW seen AS SELECT * FROM parent;
CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT);
CREATE INDEX by_v ON text_key (v);
INSERT INTO composite VALUES ('x', 1, 0.5), ('X', 1, 1e300), ('', -5, NULL), ('é', 1, 3.0);
INSERT INTO text_key VALUES ('b', 1), ('a', 2), ('', 3), ('ä', NULL), ('B', 5), ('a_', 6);
INSERT INTO mixed_case VALUES ('a', '1'), ('B', '2'), ('c', '3');
INSERT INTO blob_key VALUES (x'', 'empty'), (x'00', 'null'), (x'ff5c', 'high');
INSERT INTO real_key VALUES (0.1, 'tenth'), (-1e100, 'low'), (3, 'three');
INSERT INTO without_row_numbers VALUES ('a', 1, 'x'), ('b', 1, 'y'), ('a', 2, NULL);
INSERT INTO strict_one VALUES (1, 5, 't', x'01', 2.5), (2, 6, NULL, NULL, NULL);
INSERT INTO no_key VALUES ('same', 1), ('same', 1), (NULL, NULL);
INSERT INTO no_key_rowid_taken VALUES ('a', 'b'), ('c', NULL);
INSERT INTO only_a_key VALUES (1), (-9223372036854775808), (9223372036854775807);
INSERT INTO null_in_key VALUES (NULL, 'a'), (NULL, 'b'), ('k', 'c');
INSERT INTO generated (id, a) VALUES (1, 21), (2, NULL);
INSERT INTO "select" VALUES (1, 'f', 'g', 'q', 'p', 'x', 'b', 'n', 'h', 'e', 'k'),
    (2, NULL, '', '%', '%%', '%s', '\', 'n', NULL, NULL, NULL);
INSERT INTO "Upper And Blank's" VALUES (1, 'a', 'b');
INSERT INTO "100% %s" VALUES (1, '%s');
INSERT INTO child VALUES (1, 2), (2, 1);
INSERT INTO parent VALUES (1, 2), (2, 1);
INSERT INTO point VALUES (1, 4), (2, NULL);
INSERT INTO searched VALUES ('some words');
INSERT INTO counted (v) VALUES ('one'), ('two');
"""
CHANGES = """
UPDATE composite SET b = 'moved' WHERE b = 'x';
UPDATE text_key SET id = 'c' WHERE id = 'b';
DELETE FROM text_key WHERE id = '';
UPDATE mixed_case SET id = 'A' WHERE id = 'a';
DELETE FROM blob_key WHERE id = x'00'; INSERT INTO blob_key VALUES (x'0000', 'two');
UPDATE real_key SET id = 0.2 WHERE id = 0.1;
UPDATE without_row_numbers SET n = 7 WHERE k = 'b';
DELETE FROM no_key WHERE rowid = 1; INSERT INTO no_key VALUES ('new', 3);
INSERT INTO no_key_rowid_taken VALUES ('e', 'f');
DELETE FROM only_a_key WHERE id = 1; INSERT INTO only_a_key VALUES (2);
INSERT INTO null_in_key VALUES (NULL, 'd'); DELETE FROM null_in_key WHERE v = 'a';
UPDATE generated SET a = 4;
UPDATE "select" SET "from" = 'changed', "100%s" = NULL WHERE "order" = 1;
UPDATE "100% %s" SET v = '%(x)s';
DELETE FROM child; DELETE FROM counted WHERE id = 1;
INSERT INTO empty_one VALUES (1, 5)"""
LEFT_OUT = {
    "searched (a virtual table)", "searched_content (a shadow table)", "seen (a view)",
    "sqlite_sequence (SQLite's own)",
}  # fmt: skip


@BOTH
def test_an_awkward_schema_arrives_and_follows(capture, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", AWKWARD)
    options = {"capture": capture, "exclude": ("searched",), "schema": 'Odd "schema" %s'}

    run(path, postgres, **options)
    at_first = unequal(path, postgres, options["schema"])
    write(path, CHANGES)
    run(path, postgres, **options)
    later = unequal(path, postgres, options["schema"])
    again = run(path, postgres, **options, full=True)

    assert at_first == {}
    assert later == {}
    assert again["inserted"] + again["updated"] + again["deleted"] + again["healed"] == 0


def test_what_is_left_out_is_named_in_the_log(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", AWKWARD)

    reported = logged(path, postgres)

    assert [each for each in LEFT_OUT if each not in reported] == []


def test_a_table_without_a_key_is_keyed_by_its_row_numbers(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (a); INSERT INTO t VALUES ('x'), ('x')")

    reported = logged(path, postgres)

    assert types(postgres, "t") == {"nightshift_rowid": "bigint", "a": "text"}
    assert "table t: keyed by its row numbers (nightshift_rowid)" in reported


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\0"),
    min_size=1,
    max_size=12,
).filter(lambda name: not name.lower().startswith(("sqlite_", "nightshift_")))


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


@st.composite
def schemas(draw):
    """Generate a table with any names, a key of any columns, and rows."""
    # SQLite folds only ASCII; PostgreSQL reserves some names.
    own = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "rowid", "oid", "_rowid_"}
    columns = draw(
        st.lists(NAMES, min_size=1, max_size=5, unique_by=lambda name: name.lower()).filter(
            lambda names: not own & {name.lower() for name in names}
        )
    )
    keys = draw(st.lists(st.sampled_from(columns), unique=True, max_size=3))
    ending = draw(st.sampled_from(["", " WITHOUT ROWID"])) if keys else ""
    rows = draw(
        st.lists(
            st.tuples(*[st.integers(-3, 3) | st.just(2**62) for _ in columns]),
            max_size=6,
            unique_by=lambda row: tuple(row[columns.index(key)] for key in keys) or object(),
        )
    )
    lines = [f"{quoted(name)} INTEGER" for name in columns]
    if keys:
        lines.append(f"PRIMARY KEY ({', '.join(map(quoted, keys))})")
    table = quoted(draw(NAMES))
    script = f"CREATE TABLE {table} ({', '.join(lines)}){ending};"
    return script + "".join(f"INSERT INTO {table} VALUES {row};" for row in map(listed, rows))


def listed(row):
    return f"({', '.join(map(str, row))})"


@pytest.mark.timeout(600)  # dozens of runs of replication
def test_any_schema_arrives(tmp_path, postgres):
    places = iter(range(1000))

    @settings(
        max_examples=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(schemas(), st.sampled_from(["compare", "triggers"]))
    def arrives(script, capture):
        number = next(places)
        path = a_source(tmp_path / f"{number}.db", script)
        for _ in range(2):
            run(path, postgres, capture=capture, schema=f"s{number}")
        assert unequal(path, postgres, f"s{number}") == {}

    arrives()


def test_columns_that_come_later_are_added_with_their_values(tmp_path, postgres):
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x')"
    path = a_source(tmp_path / "a.db", script)
    run(path, postgres, capture="triggers")

    write(path, "ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 7; UPDATE t SET a = 'y'")
    run(path, postgres, capture="triggers")

    assert sql(postgres, "SELECT id, a, b FROM t") == [(1, "y", 7)]


@BOTH
@pytest.mark.parametrize("change", ["DROP COLUMN a", "RENAME COLUMN a TO renamed"])
def test_a_dropped_or_renamed_column_fails_with_the_statement_that_fixes_it(
    capture, change, tmp_path, postgres
):
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x')"
    path = a_source(tmp_path / "a.db", script)
    run(path, postgres, capture=capture)
    write(path, f"ALTER TABLE t {change}")

    failed = failure(path, postgres, capture=capture)
    sql(postgres, failed.error.split("renamed?): ")[1].split(", or ")[0])
    run(path, postgres, capture=capture)

    assert failed.permanent
    assert unequal(path, postgres) == {}


def test_a_table_that_is_gone_from_the_source_stays_and_is_named(tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE TABLE u (a)"
    )
    run(path, postgres)
    write(path, "DROP TABLE u")

    reported = logged(path, postgres)

    assert "no longer in the source or asked for: u; left as they are" in reported
    assert sql(postgres, "SELECT count(*) FROM u") == [(0,)]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (f'CREATE TABLE t (id INTEGER PRIMARY KEY, "{"x" * 64}")', "does not fit into PostgreSQL"),
        (f'CREATE TABLE "{"ü" * 32}" (id INTEGER PRIMARY KEY)', "does not fit into PostgreSQL"),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, ctid TEXT)", "rename: {t.ctid: NAME}"),
        ("CREATE TABLE t (rowid, _rowid_, oid)", "table t has no key"),
    ],
)
def test_what_postgres_cannot_hold_is_named(script, words, tmp_path, postgres):
    failed = failure(a_source(tmp_path / "a.db", script), postgres)

    assert words in failed.error
    assert failed.permanent


@BOTH
def test_a_table_that_postgresql_would_call_like_another_is_refused(capture, tmp_path, postgres):
    cut = "t" * 63
    sql(postgres, f"CREATE TABLE {cut} (id bigint PRIMARY KEY); INSERT INTO {cut} VALUES (1)")
    path = a_source(tmp_path / "a.db", f"CREATE TABLE {cut}t (id INTEGER PRIMARY KEY)")
    before = path.read_bytes()

    failed = failure(path, postgres, capture=capture)

    assert "does not fit into PostgreSQL" in failed.error
    assert sql(postgres, f"SELECT * FROM {cut}") == [(1,)]
    assert path.read_bytes() == before


def test_a_table_without_a_name_is_refused_before_triggers_are_made(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", 'CREATE TABLE "" (id INTEGER PRIMARY KEY)')
    before = path.read_bytes()

    failed = failure(path, postgres, capture="triggers")

    assert "the name '' does not fit into PostgreSQL" in failed.error
    assert failed.permanent
    assert path.read_bytes() == before


def test_a_null_that_comes_into_a_key_later_is_named(tmp_path, postgres):
    script = "CREATE TABLE t (id TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a', 1)"
    path = a_source(tmp_path / "a.db", script)
    run(path, postgres, capture="triggers")
    write(path, "INSERT INTO t VALUES (NULL, 2)")

    failed = failure(path, postgres, capture="triggers")

    assert "column id is NULL, which no key of PostgreSQL may be" in failed.error


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tables": ("t", "nothing")}, "tables: no table nothing in"),
        ({"exclude": ("nothing",)}, "exclude: no table or column nothing; the tables are"),
        ({"tables": ("seen",)}, "seen cannot be replicated: it is a view"),
    ],
)
def test_a_name_that_is_not_there_is_refused(options, words, tmp_path, postgres):
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE VIEW seen AS SELECT 1"
    path = a_source(tmp_path / "a.db", script)

    assert words in failure(path, postgres, **options).error


def test_only_the_tables_asked_for_are_taken(tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db", "CREATE TABLE t (a); CREATE TABLE u (a); CREATE TABLE v (a)"
    )

    run(path, postgres, tables=("t", "u"), exclude=("u",))

    assert sql(postgres, "SELECT to_regclass('t') IS NULL, to_regclass('u') IS NULL") == [
        (False, True)
    ]


def test_a_database_in_utf16_arrives(tmp_path, postgres):
    script = "PRAGMA encoding = 'UTF-16'; CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT);"
    path = a_source(
        tmp_path / "a.db", f"{script} INSERT INTO t VALUES ('😀', 'ä'), ('\uffff', 'b')"
    )

    for full in (False, True):
        run(path, postgres, full=full, capture="triggers")

    assert unequal(path, postgres) == {}


def test_a_database_without_tables_is_no_failure(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "PRAGMA user_version = 1")

    assert run(path, postgres, capture="triggers")["tables"] == 0


@BOTH
def test_hundreds_of_tables_arrive_and_follow(capture, tmp_path, postgres):
    made = "CREATE TABLE t{0} (id INTEGER PRIMARY KEY, v); INSERT INTO t{0} VALUES ({0}, 'a');"
    path = a_source(tmp_path / "a.db", "".join(made.format(number) for number in range(200)))
    run(path, postgres, capture=capture)
    write(path, "UPDATE t0 SET v = 'b'; DELETE FROM t100; INSERT INTO t199 VALUES (0, 'c')")

    result = run(path, postgres, capture=capture)

    assert (result["inserted"], result["updated"], result["deleted"]) == (1, 1, 1)
    assert unequal(path, postgres) == {}


@BOTH
def test_a_table_of_a_thousand_columns_arrives(capture, tmp_path, postgres):
    columns = ", ".join(f"c{number} INT" for number in range(1000))
    script = f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns});"
    path = a_source(tmp_path / "a.db", f"{script} INSERT INTO t (id, c7) VALUES (1, 8)")
    run(path, postgres, capture=capture)
    write(path, "UPDATE t SET c999 = 5")

    run(path, postgres, capture=capture, full=True)

    assert unequal(path, postgres) == {}


@BOTH
def test_our_own_tables_are_left_out_in_silence(capture, tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY); CREATE VIEW v AS SELECT 1"
    )
    run(path, postgres, capture="triggers")

    reported = logged(path, postgres, capture=capture)

    assert "v (a view)" in reported
    assert "nightshift_capture" not in reported


def test_an_empty_schema_is_named_as_the_mistake_it_is(tmp_path):
    with pytest.raises(ValueError, match=r'schema: expected the name of a schema .*, got ""'):
        Params(tmp_path / "a.db", schema="")


@pytest.mark.parametrize("schema", ["information_schema", "pg_catalog", "pg_temp", "pg_x"])
def test_a_schema_of_postgresql_itself_is_no_place_for_a_replica(tmp_path, schema):
    with pytest.raises(ValueError, match="schema: expected a schema of your own"):
        Params(tmp_path / "a.db", schema=schema)
