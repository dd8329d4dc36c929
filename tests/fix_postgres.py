"""A real PostgreSQL for tests: one server per module, one database per test.

A test that stops its server has one of its own (`own_postgres`). The other one is not shared
by all modules: containment tests kill the children of their process, as the supervisor must
when its fork server has died.

`POSTGRES_DSN` selects another server than the embedded one; its user must be allowed to
create databases. Without either, the tests skip with the reason.
"""

import os
import pwd
import uuid
from collections.abc import Iterator

import pytest

from scripts import embedded_postgres


def has_account() -> bool:
    """Return whether our uid has a name, which initdb and libpq require."""
    try:
        return bool(pwd.getpwuid(os.geteuid()))
    except KeyError:
        return False


needs_account = pytest.mark.skipif(
    not has_account(), reason=f"uid {os.geteuid()} has no account, and PostgreSQL needs one"
)


@pytest.fixture
def own_postgres() -> Iterator[embedded_postgres.Server]:
    """Yield a server for this test alone, which may stop it; commits are synced to disk."""
    try:
        embedded_postgres.find_binaries()
    except embedded_postgres.NoPostgresError as missing:
        pytest.skip(str(missing))
    with embedded_postgres.throwaway({"fsync": "on", "synchronous_commit": "on"}) as server:
        yield server


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[str]:
    """Yield the libpq DSN of a server whose user may create databases and roles."""
    if not has_account():
        pytest.skip(needs_account.kwargs["reason"])
    named = os.environ.get("POSTGRES_DSN")
    if named:
        yield named
        return
    try:
        embedded_postgres.find_binaries()
    except embedded_postgres.NoPostgresError as missing:
        pytest.skip(str(missing))
    with embedded_postgres.throwaway() as server:
        yield server.dsn


@pytest.fixture
def postgres(postgres_server: str) -> Iterator[str]:
    """Yield the libpq DSN of an empty database that is dropped after the test."""
    import psycopg
    from psycopg import conninfo, sql

    name = f"nightshift_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as server:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE template0")
        server.execute(create.format(sql.Identifier(name)))
        try:
            yield conninfo.make_conninfo(postgres_server, dbname=name)
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            server.execute(drop.format(sql.Identifier(name)))
