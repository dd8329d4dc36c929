"""VACUUM renumbers rows; it is refused where something may store their numbers."""

import sqlite3
from contextlib import closing

import pytest

from tests.workers.catalogue_folder import a_report, execute, logged, rows
from tests.workers.strange_texts import with_latin_names
from workers import cleanup, virtual_tables
from workers.cleanup import row_numbers

# Tables whose rows keep their numbers, and tables whose rows may be renumbered.
KEPT = {
    "an integer key": "CREATE TABLE t (id INTEGER PRIMARY KEY, a)",
    "a key of the table": "CREATE TABLE t (a, id INTEGER, PRIMARY KEY (id))",
    "a descending key of the table": "CREATE TABLE t (a, id INTEGER, PRIMARY KEY (id DESC))",
    "autoincrement": "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a)",
    "no row numbers": "CREATE TABLE t (id TEXT PRIMARY KEY, a) WITHOUT ROWID",
    "strict": "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT) STRICT",
}
RENUMBERED = {
    "no key": "CREATE TABLE t (a)",
    "a descending key": "CREATE TABLE t (id INTEGER PRIMARY KEY DESC, a)",
    "int is not integer": "CREATE TABLE t (id INT PRIMARY KEY, a)",
    "a text key": "CREATE TABLE t (id TEXT PRIMARY KEY, a)",
    "a quoted type": 'CREATE TABLE t (id "BIGINT" PRIMARY KEY, a)',
    "two columns": "CREATE TABLE t (id INTEGER, b INTEGER, a, PRIMARY KEY (id, b))",
    "a unique column": "CREATE TABLE t (id INTEGER UNIQUE, a)",
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.db"


def made(path, *statements):
    """Create a database with these tables and mostly free pages."""
    for statement in (*statements, "CREATE TABLE pad (id INTEGER PRIMARY KEY, noise)"):
        execute(path, statement)
    execute(path, "INSERT INTO pad VALUES (1, zeroblob(1000000))")
    execute(path, "DELETE FROM pad")
    return path


def cleaned(path, received=None, **given):
    return cleanup.run(cleanup.Params(path, **given), a_report(received))


def objection(path, may_renumber=False):
    with closing(sqlite3.connect(path)) as connection:
        return row_numbers.objection(row_numbers.schema(connection), may_renumber)


@pytest.mark.parametrize("table", KEPT.values(), ids=KEPT)
def test_rows_that_keep_their_numbers_allow_vacuum(path, table):
    result = cleaned(made(path, table))

    assert (result["vacuum"], result["warnings"]) == ("done", 0)


@pytest.mark.parametrize("table", RENUMBERED.values(), ids=RENUMBERED)
def test_rows_that_may_be_renumbered_forbid_vacuum_until_it_is_allowed(path, table):
    received = []

    result = cleaned(made(path, table), received)

    assert (result["vacuum"], result["warnings"]) == ("left out", 1)
    assert "without an INTEGER PRIMARY KEY (t); if no program" in logged(received)
    assert "vacuum_rowids: true" in result["vacuum_left_out"]
    assert cleaned(path, vacuum_rowids=True)["vacuum"] == "done"


def test_free_pages_that_are_few_are_left_without_a_word(path):
    execute(path, RENUMBERED["no key"])

    result = cleaned(path)

    assert (result["vacuum"], result["vacuum_left_out"]) == ("not needed", "")


DOCS = "CREATE TABLE docs (title, body)"
INDEXES = {
    "fts5": "CREATE VIRTUAL TABLE i USING fts5(title, body, content='docs')",
    "fts5, quoted otherwise": 'CREATE VIRTUAL TABLE i USING "FTS5" (title, Content = "DOCS")',
    "fts5, in brackets": "CREATE VIRTUAL TABLE [using] USING fts5(title, content=[docs])",
    "fts5, bare": "CREATE VIRTUAL TABLE i USING fts5(title,content=docs,content_rowid=rowid)",
    "fts5, with a tokenizer": (
        "CREATE VIRTUAL TABLE i USING fts5(title, tokenize = 'porter ascii', content='docs')"
    ),
    "fts5, without content": "CREATE VIRTUAL TABLE i USING fts5(title, content='')",
    "fts4": 'CREATE VIRTUAL TABLE i USING fts4(content="docs", title, body)',
    "fts4, without content": "CREATE VIRTUAL TABLE i USING fts4(content='', title)",
    "rtree": "CREATE VIRTUAL TABLE i USING rtree(id, x0, x1)",
    "rtree with more columns": "CREATE VIRTUAL TABLE i USING rtree(id, x0, x1, +label TEXT)",
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_an_index_that_holds_row_numbers_always_forbids_vacuum(path, index):
    received = []

    result = cleaned(made(path, DOCS, index), received, vacuum_rowids=True)

    assert (result["vacuum"], result["warnings"]) == ("left out", 1)
    assert "it may renumber the rows of table docs, and " in result["vacuum_left_out"]


def test_an_index_of_a_view_forbids_vacuum(path):
    made(
        path,
        DOCS,
        "CREATE VIEW texts AS SELECT rowid, title FROM docs",
        "CREATE VIRTUAL TABLE i USING fts5(title, content='texts')",
    )

    assert "fts5 table i holds row numbers" in objection(path, may_renumber=True)


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE docs (id INTEGER PRIMARY KEY, title)", INDEXES["fts5, bare"]),
        ("CREATE TABLE docs (id INTEGER PRIMARY KEY, title)", INDEXES["fts4, without content"]),
        ("CREATE TABLE docs (id INTEGER PRIMARY KEY, title)", INDEXES["rtree"]),
        # Its own column identifies the rows, and VACUUM does not change that.
        (
            "CREATE TABLE docs (nr INT PRIMARY KEY, title)",
            "CREATE VIRTUAL TABLE i USING fts5(title, content='docs', content_rowid='nr')",
        ),
        (DOCS, "CREATE VIRTUAL TABLE i USING fts5(title)"),
        (DOCS, "CREATE VIRTUAL TABLE i USING fts4(title)"),
        (DOCS, "CREATE VIRTUAL TABLE i USING fts3(title)"),
        (DOCS, "CREATE VIRTUAL TABLE i USING dbstat"),
    ],
)
def test_an_index_that_needs_no_row_numbers_allows_vacuum(path, statements):
    assert cleaned(made(path, *statements), vacuum_rowids=True)["vacuum"] == "done"


def test_shadow_tables_of_an_index_are_not_its_users(path):
    execute(path, "CREATE VIRTUAL TABLE i USING fts4(title)")

    assert objection(path) == ""


def test_an_index_finds_after_cleanup_what_it_found_before(path):
    made(path, DOCS, INDEXES["fts5"])
    for number in range(100):
        execute(path, f"INSERT INTO docs VALUES ('title{number}', 'body')")
    execute(path, "DELETE FROM docs WHERE rowid <= 50")
    execute(path, "INSERT INTO i(i) VALUES ('rebuild')")
    found = rows(path, "SELECT rowid, title FROM i WHERE i MATCH 'title77'")

    cleaned(path, vacuum_rowids=True)

    assert rows(path, "SELECT rowid, title FROM i WHERE i MATCH 'title77'") == found
    execute(path, "INSERT INTO i(i, rank) VALUES ('integrity-check', 1)")


def test_a_module_that_is_not_known_here_counts_as_any_program(path):
    made(path, DOCS, "CREATE TABLE v (a)")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET rootpage = 0,"
            " sql = 'CREATE VIRTUAL TABLE v USING spellfix1' WHERE name = 'v'"
        )

    assert "(docs)" in objection(path)
    assert objection(path, may_renumber=True) == ""


def test_names_that_are_not_utf_8_are_reported_escaped(tmp_path):
    received = []

    cleaned(made(with_latin_names(tmp_path / "a.db")), received)

    assert r"(caf\xe9, child)" in logged(received)


def test_a_dry_run_says_why_vacuum_would_be_left_out(path):
    received = []
    made(path, DOCS)

    cleanup.run(cleanup.Params(path), a_report(received, dry_run=True))

    assert "VACUUM is left out: it may renumber the rows" in logged(received)


@pytest.mark.parametrize(
    ("sql", "module", "options"),
    [
        ("CREATE VIRTUAL TABLE a USING fts5(b, content='')", "fts5", (("content", ""),)),
        ("CREATE VIRTUAL TABLE 'a, using (' USING fts5(content=\"it's\")", "fts5",
         (("content", "it's"),)),
        ("CREATE VIRTUAL TABLE a USING fts4(tokenize=unicode61 \"x=,\", content=`b``c`)", "fts4",
         (("tokenize", "unicode61x=,"), ("content", "b`c"))),
        ("CREATE VIRTUAL TABLE a USING m(f(x, content=no), b)", "m", ()),
        ("CREATE VIRTUAL TABLE a /* USING x */ USING fts5 -- (\n (content=b)", "fts5",
         (("content", "b"),)),
        ("CREATE VIRTUAL TABLE a USING dbstat", "dbstat", ()),
        ("", "", ()),
    ],
)  # fmt: skip
def test_a_declaration_is_read_whatever_its_quotes(sql, module, options):
    found = virtual_tables.read("a", sql, has_content=False)

    assert (found.module, found.options) == (module, options)


def test_a_declaration_that_cannot_be_read_counts_as_holding_row_numbers():
    found = virtual_tables.read("a", "CREATE VIRTUAL", has_content=True)

    assert found.holds_row_numbers
