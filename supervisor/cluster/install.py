"""Make or upgrade the schema of a cluster: the engine's tables, the ledger's and ours."""

import contextlib
import re
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import psycopg

from supervisor.cluster import engine, session
from supervisor.cluster.session import Connection, query
from supervisor.ledger.migrations import SCHEMA_VERSION
from supervisor.ledger.rows import TABLES

# PostgreSQL 13 is no longer maintained; the engine is tested from 14 on.
OLDEST_SERVER = 140000
_TYPES = (
    (r"\bINTEGER PRIMARY KEY\b", "BIGINT PRIMARY KEY"),
    (r"\bINTEGER\b", "BIGINT"),
    (r"\bREAL\b", "DOUBLE PRECISION"),
    (r"\) WITHOUT ROWID;", ");"),
)


# Tables that a cluster has; an empty schema may have been made for one.
_OURS = ["shared", "assignments", "procrastinate_jobs"]
_CONTENT = """
SELECT to_regnamespace(quote_ident(%(schema)s)) IS NOT NULL,
    count(*) FILTER (WHERE name = ANY(%(ours)s)), count(*) FILTER (WHERE name <> ALL(%(ours)s))
FROM (
    SELECT relname, relnamespace FROM pg_class UNION ALL SELECT proname, pronamespace FROM pg_proc
    UNION ALL SELECT typname, typnamespace FROM pg_type) AS found (name, namespace)
WHERE namespace = to_regnamespace(quote_ident(%(schema)s))"""


class ClusterSchemaError(Exception):
    """A schema that cannot be made or used; the text says why and what to do."""


def install(db: Connection, schema: str, role: str | None) -> bool:
    """Make the schema in one transaction; return False if it is there already.

    role: an existing role that gets the rights that hosts need, and no more.

    Raises:
        ClusterSchemaError: the server is too old, or another program has the schema.
        psycopg.Error: the owner of `db` may not do this.
    """
    if db.info.server_version < OLDEST_SERVER:
        found = db.info.server_version // 10000
        raise ClusterSchemaError(f"PostgreSQL {found} is too old: expected 14 or newer")
    with db.transaction():
        row = db.execute(_CONTENT, {"schema": schema, "ours": _OURS}).fetchone()
        assert row is not None  # an aggregate has one row
        is_there, ours, others = row
        if ours < len(_OURS) and (ours or others):
            raise ClusterSchemaError(
                f"schema {schema} has tables or functions and is no cluster of nightshift; nothing"
                " was changed: choose another --name, or drop it"
            )
        is_new = not ours
        if is_new:
            if not is_there:
                db.execute(query(f'CREATE SCHEMA "{schema}"'))
            db.execute(query(f'SET LOCAL search_path = "{schema}", pg_catalog'))
            _create(db, schema)
        if role is not None:
            _grant(db, schema, role)
    return is_new


def check(db: Connection) -> str:
    """Return "" if this version can work with the schema, else why not."""
    if _one(db, "SELECT to_regclass('shared') IS NOT NULL") == (False,):
        role, is_there = _one(
            db,
            "SELECT current_user, to_regnamespace("
            "split_part(current_setting('search_path'), ',', 1)) IS NOT NULL",
        )
        if is_there:
            return (
                f"the role {role} may not use the cluster's schema:"
                f" nightshift cluster init DSN --role {role}, as its owner"
            )
        return "the cluster's schema is not there: nightshift cluster init DSN makes it"
    missing = engine.missing_functions(db)
    if missing:
        return f"the engine lacks {', '.join(missing)}: nightshift cluster init DSN --upgrade"
    ledger = int(_one(db, "SELECT value FROM shared WHERE key = 'ledger'")[0])
    if ledger > SCHEMA_VERSION:
        return f"its ledger is of version {ledger}, and this nightshift knows {SCHEMA_VERSION}"
    if ledger < SCHEMA_VERSION:
        return f"its ledger is of version {ledger}: nightshift cluster init DSN --upgrade"
    return ""


def upgrade(db: Connection, schema: str) -> list[str]:
    """Add the columns that are new; return their names."""
    added = []
    with db.transaction():
        db.execute(query(f'SET LOCAL search_path = "{schema}", pg_catalog'))
        wanted = {name: dict(columns) for name, columns in _columns()}
        for table, columns in wanted.items():
            there = {
                name
                for (name,) in db.execute(
                    "SELECT column_name FROM information_schema.columns"
                    " WHERE table_schema = %s AND table_name = %s",
                    (schema, table),
                )
            }
            for name, kind in columns.items():
                if name not in there:
                    if "DEFAULT" not in kind:
                        kind = kind.replace("NOT NULL", f"NOT NULL DEFAULT {_empty(kind)}")
                    db.execute(query(f"ALTER TABLE {table} ADD COLUMN {name} {kind}"))
                    added.append(f"{table}.{name}")
        _set(db, "ledger", str(SCHEMA_VERSION))
    return added


def _create(db: Connection, schema: str) -> None:
    from procrastinate.schema import SchemaManager  # heavy, and only the owner needs it

    db.execute(query(SchemaManager.get_schema()))
    # Jobs are deleted when they end, so the table is small and changes often.
    db.execute(
        "ALTER TABLE procrastinate_jobs SET (autovacuum_vacuum_scale_factor = 0,"
        " autovacuum_vacuum_threshold = 1000)"
    )
    db.execute(query(ledger_schema()))
    db.execute(query(_own_schema()))
    _set(db, "turn", "0")
    _set(db, "ledger", str(SCHEMA_VERSION))
    _set(db, "engine", version("procrastinate"))
    queue = session.queue_of(schema, "leader")
    leader = engine.NewJob(queue, "leader", queue, None, "{}")
    engine.defer(db, [leader])


def ledger_schema() -> str:
    """Return the ledger's tables for PostgreSQL, each with the turn that wrote a row."""
    text = files("supervisor.ledger").joinpath("schema.sql").read_text("utf-8")
    text = re.sub(r"--[^\n]*\n", "\n", text)
    for pattern, replacement in _TYPES:
        text = re.sub(pattern, replacement, text)
    for table in TABLES.values():
        own = "" if table.key else "id BIGINT GENERATED ALWAYS AS IDENTITY,\n    "
        head = f"CREATE TABLE {table.name} (\n    "
        turn = "turn BIGINT NOT NULL DEFAULT 0,\n    "
        text = text.replace(head, f"{head}{own}{turn}")
        text += f"\nCREATE INDEX {table.name}_turn ON {table.name} (turn);"
    return text


def _own_schema() -> str:
    """Return the tables beside the ledger's."""
    return files(__package__).joinpath("schema.sql").read_text("utf-8")


def _columns() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    whole = f"{ledger_schema()}\n{_own_schema()}"
    for match in re.finditer(r"CREATE TABLE (\w+) \((.*?)\n\);", whole, re.DOTALL):
        lines = [line.strip().rstrip(",") for line in match[2].splitlines()]
        named = [line.split(" ", 1) for line in lines if re.match(r"[a-z_0-9]+ \w", line)]
        yield match[1], [(name, kind) for name, kind in named]


def _empty(kind: str) -> str:
    return "''" if kind.upper().startswith("TEXT") else "0"


def _grant(db: Connection, schema: str, role: str) -> None:
    """Give a role what hosts need: rows and functions, no definitions."""
    name = db.execute("SELECT quote_ident(%s)", (role,)).fetchone()
    assert name is not None
    for what in (
        f'USAGE ON SCHEMA "{schema}"',
        f'SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{schema}"',
        f'USAGE, SELECT ON ALL SEQUENCES IN SCHEMA "{schema}"',
        f'EXECUTE ON ALL FUNCTIONS IN SCHEMA "{schema}"',
    ):
        db.execute(query(f"GRANT {what} TO {name[0]}"))
    # For a pooler that gives each transaction another session: nothing can be set in one.
    database = db.execute("SELECT quote_ident(current_database())").fetchone()
    assert database is not None
    with contextlib.suppress(psycopg.errors.InsufficientPrivilege), db.transaction():
        for setting, value in session.settings_of_role(schema):
            words = f"ALTER ROLE {name[0]} IN DATABASE {database[0]} SET {setting} = {value}"
            db.execute(query(words))


def _set(db: Connection, key: str, value: str) -> None:
    db.execute(
        "INSERT INTO shared VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = %s",
        (key, value, value),
    )


def _one(db: Connection, text: str, *values: object) -> tuple[Any, ...]:
    row = db.execute(query(text), values).fetchone()
    assert row is not None
    return row
