"""Checks of PostgreSQL, including the rights that replication needs, and of webhooks.

Invariant: no message is sent. A webhook is only connected to, its certificate is
verified, and the connection is closed; `nightshift notify --test` sends a message.
Findings contain no path or query of a URL, and no DSN.
"""

import os
import shlex
import socket
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from supervisor.core.config_model import Job
from supervisor.doctor.context import DoctorContext
from supervisor.doctor.finding import Finding, error, info, ok, warning

CONNECT_S = 4
_LONGEST_LINE = 200
_PORTS = {"http": 80, "https": 443}
_RIGHTS = """
SELECT current_database(), current_user,
    has_database_privilege(current_database(), 'TEMPORARY'),
    has_database_privilege(current_database(), 'CREATE'),
    (SELECT has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE')
     FROM pg_namespace WHERE nspname = %s)"""


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights of our role; schema None: the schema does not exist."""

    database: str
    role: str
    temporary: bool
    create: bool
    schema: bool | None


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL server with the connection settings of some jobs.

    error: why it cannot be queried. schema: the target of replication; empty, with
    rights None, if no job replicates.
    """

    jobs: tuple[str, ...]
    error: str
    schema: str = ""
    rights: Rights | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """Host and port of a channel or heartbeat.

    via: "proxy", or that it is not HTTP; else empty. host: the name of the channel in the
        latter case, since the host of such a URL may be a secret.
    """

    host: str
    error: str
    via: str = ""


def servers(context: DoctorContext) -> list[Server]:
    """Query each PostgreSQL server in use once."""
    asked: dict[tuple[Any, ...], list[str]] = {}
    for job, given in context.of_worker("replication.run", "health.run"):
        is_target = job.worker == "replication.run"
        if is_target or given.get("postgres"):
            schema = str(given.get("schema", "public")) if is_target else ""
            key = (str(given.get("postgres") or ""), _libpq(job), schema)
            asked.setdefault(key, []).append(job.name)
    return [_server(dsn, env, schema, jobs) for (dsn, env, schema), jobs in asked.items()]


def judge_servers(found: Iterable[Server]) -> Iterator[Finding]:
    """Check that each server answers, and that the role has the rights for replication."""
    found = list(found)
    for server in found:
        jobs = ", ".join(server.jobs)
        if server.error:
            remedy = f"nightshift show {server.jobs[0]} --env, then psql with its PG* settings"
            yield error(f"{jobs}: {server.error}", "an answer", remedy)
        elif server.rights is None:
            yield ok(f"{jobs}: answers")
        else:
            missing = list(_grants(server.rights, server.schema))
            for grant in missing:
                remedy = f"psql -c {shlex.quote(grant)}"
                yield error(f"{jobs}: {server.rights.role} lacks a right", grant, remedy)
            if not missing:
                yield ok(f"{jobs}: answers, {server.rights.role} has the rights it needs")
    if not found:
        yield ok("no job uses one")


def webhooks(context: DoctorContext) -> list[Webhook]:
    """Connect to each host to which alerts or heartbeats are sent, as far as it is known."""
    if context.config is None:
        return []
    config = context.config
    channels = config.notify.channels
    known = [each.url for each in channels if urlsplit(each.url).scheme in _PORTS]
    urls = [*known, config.heartbeat, *(job.heartbeat for job in context.jobs)]
    hosts = dict.fromkeys(_host(url) for url in urls if url)
    others = [each.name for each in channels if each.url not in known]
    not_http = [Webhook(f"channel {name}", "", via="protocol of its own") for name in others]
    return [*(_webhook_at(*host) for host in hosts), *not_http]


def judge_webhooks(found: Iterable[Webhook]) -> Iterator[Finding]:
    """Check connection and certificate; only a test message shows whether alerts arrive."""
    found = list(found)
    test = "nightshift notify --test"
    for webhook in found:
        if webhook.error:
            remedy = f"look at DNS, firewall and proxy of this machine; then {test}"
            yield error(f"{webhook.host} {webhook.error}", "a connection", remedy)
        elif webhook.via:
            yield info(f"{webhook.host} goes through a {webhook.via} and was not tried", test)
        else:
            yield ok(f"{webhook.host} takes connections (nothing was sent; {test} does)")
    if not found:
        remedy = "a channel below notify: in jobs.yaml, then nightshift notify --test"
        yield warning("alerts are not sent anywhere", "a channel", remedy)


def _server(dsn: str, env: tuple[tuple[str, str], ...], schema: str, jobs: list[str]) -> Server:
    """Connect with the environment of the job; safe because this runs in its own process."""
    # Imported late: only this check needs it, and the supervisor itself never does.
    import psycopg

    from workers import postgres_dsn

    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    os.environ.update(env)
    try:
        postgres_dsn.read(dsn)
        with psycopg.connect(dsn, autocommit=True, connect_timeout=CONNECT_S) as connection:
            if not schema:
                connection.execute("SELECT 1")
                return Server(tuple(jobs), "")
            row = connection.execute(_RIGHTS, (schema,)).fetchone()
            assert row is not None  # a SELECT without FROM has one row
            return Server(tuple(jobs), "", schema, Rights(*row))
    except postgres_dsn.DsnError as error:
        return Server(tuple(jobs), f"its DSN is none: {error}")
    except psycopg.ProgrammingError as error:
        return Server(tuple(jobs), f"refuses: {_line(error)}")
    except psycopg.Error as error:
        return Server(tuple(jobs), f"does not answer: {_line(error)}")


def _grants(rights: Rights, schema: str) -> Iterator[str]:
    """Yield the statements that grant the missing rights to the role."""
    database, role, name = (_quoted(text) for text in (rights.database, rights.role, schema))
    if not rights.temporary:
        yield f"GRANT TEMPORARY ON DATABASE {database} TO {role}"
    if rights.schema is None and not rights.create:
        yield f"CREATE SCHEMA {name} AUTHORIZATION {role}"
    elif rights.schema is False:
        yield f"GRANT USAGE, CREATE ON SCHEMA {name} TO {role}"


def _libpq(job: Job) -> tuple[tuple[str, str], ...]:
    """Return the libpq variables in the environment of the job; empty ones count as unset."""
    inherited = os.environ if job.inherit_env else {}
    found = {**inherited, **dict(job.env)}
    return tuple(
        sorted((name, text) for name, text in found.items() if name.startswith("PG") and text)
    )


def _host(url: str) -> tuple[str, str, int]:
    """Return the scheme, host and port of a URL."""
    parts = urlsplit(url)
    return (parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme])


def _webhook_at(scheme: str, host: str, port: int) -> Webhook:
    name = f"{host}:{port}"
    if getproxies().get(scheme) and not proxy_bypass(host):
        return Webhook(name, "", via="proxy")
    try:
        with socket.create_connection((host, port), CONNECT_S) as plain:
            if scheme == "https":
                with ssl.create_default_context().wrap_socket(plain, server_hostname=host):
                    pass
    except ssl.SSLCertVerificationError as error:
        return Webhook(name, f"shows a certificate that is not trusted: {error.verify_message}")
    except (TimeoutError, socket.gaierror) as error:
        words = "is not known to DNS" if isinstance(error, socket.gaierror) else "does not answer"
        return Webhook(name, words)
    except (OSError, UnicodeError, OverflowError) as error:
        return Webhook(
            name, f"cannot be connected to: {getattr(error, 'strerror', None) or error}"
        )
    return Webhook(name, "")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:_LONGEST_LINE]
