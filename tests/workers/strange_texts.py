"""Databases with texts of other programs: names and values that are not UTF-8."""

import sqlite3
from contextlib import closing
from pathlib import Path

# Latin-1 for "caf" and an e with an accent, and a name that is invalid in every encoding.
LATIN_TABLE, LATIN_COLUMN = b"caf\xe9", b"na\xff"


def with_latin_names(path: Path) -> Path:
    """Create a table `caf\\xe9`, a column `plain.na\\xff`, and an invalid foreign key."""
    with closing(sqlite3.connect(path, isolation_level=None)) as made:
        made.execute("CREATE TABLE caf_ (x)")
        made.execute("CREATE TABLE plain (id INTEGER PRIMARY KEY, na_)")
        made.execute("CREATE TABLE child (x REFERENCES caf_ (x))")
        made.execute("INSERT INTO caf_ VALUES (1)")
        made.execute("INSERT INTO plain VALUES (1, CAST(x'ff41' AS TEXT))")
        made.execute("INSERT INTO child VALUES (1)")
    for old, new in ((b"caf_", LATIN_TABLE), (b"na_", LATIN_COLUMN)):
        for column in ("name", "tbl_name", "sql"):
            replaced = f"replace(CAST({column} AS BLOB), x'{old.hex()}', x'{new.hex()}')"
            execute_raw(path, f"UPDATE sqlite_master SET {column} = CAST({replaced} AS TEXT)")
    return path


def execute_raw(path: Path, statement: str) -> None:
    """Change the schema table directly, and make SQLite read it again."""
    with closing(sqlite3.connect(path, isolation_level=None)) as opened:
        opened.text_factory = bytes
        opened.execute("PRAGMA writable_schema = ON")
        opened.execute(statement)
