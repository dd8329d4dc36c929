"""Replication errors, and the translation of PostgreSQL's errors into one sentence.

Invariant: no message holds a password, and psycopg's errors do not leave
`target.connected` without a translation by `of_postgres`.
"""

import re

import psycopg

from workers.units import format_count

# SQLSTATE classes that may pass by a retry: connection (08), rollback (40), resources (53),
# lock not available (55), operator intervention (57), system (58). 28 (authorization) is
# included because rights may be granted later.
_PASSING = ("08", "28", "40", "53", "55", "57", "58")
_LONGEST = 400
# What PostgreSQL quotes of data, up to the last quote, since a value may hold quotes itself.
# What stands quoted after such a word is a name.
_QUOTED = re.compile(
    r'(?<!encoding )(?<!column )(?<!relation )(?<!type )".*"|\b(?:0x[0-9a-f]{2}\s?)+', re.DOTALL
)
_VALUES = re.compile(
    r"(?<=\)=)\(.*\)(?= already| is not| conflicts| is still)|(?<=row contains )\(.*\)"
)


class ReplicationError(Exception):
    """A run that cannot go on. permanent: a retry would fail the same way.

    column: the PostgreSQL name of the column that caused it, or empty.
    """

    def __init__(self, text: str, permanent: bool = True, column: str = "") -> None:
        super().__init__(text)
        self.permanent, self.column = permanent, column


class ReplicationCancelledError(Exception):
    """The run was cancelled; the target was not changed."""


def of_postgres(where: str, error: psycopg.Error, secret: str = "") -> ReplicationError:
    """Translate `error` of the server at `where`; remove `secret` from the message."""
    state = error.sqlstate or ""
    words = " ".join(str(error.diag.message_primary or error).split()) or type(error).__name__
    detail = error.diag.message_detail
    # The detail of a data exception (class 22) contains values or whole rows.
    if detail and not state.startswith("22"):
        words += f" ({' '.join(detail.split())})"
    if state.startswith("22"):
        words = without_values(words)
    elif state.startswith("23"):
        words = _VALUES.sub("(...)", words)
    if secret:
        words = words.replace(secret, "***")
    passing = state.startswith(_PASSING) or (not state and isinstance(error, psycopg.Error))
    return ReplicationError(
        f"PostgreSQL at {where}: {words[:_LONGEST]}{_advice(state)}", not passing
    )


def without_values(words: str) -> str:
    """Return PostgreSQL's message without quoted values, which may be secrets."""
    return _QUOTED.sub("...", words)


def shown(value: object) -> str:
    """Return the length of a value for a message, never its content."""
    if isinstance(value, str):
        return f" of {format_count(len(value), 'character')}"
    if isinstance(value, bytes):
        return f" of {format_count(len(value), 'byte')}"
    return ""


def _advice(state: str) -> str:
    match state:
        case "42501":
            return "; the role lacks a right, see docs/replication.md"
        case "25006":
            return (
                "; a standby, or a role with default_transaction_read_only: name the primary,"
                " or ALTER ROLE ... SET default_transaction_read_only = off"
            )
        case "53200":
            return "; raise max_locks_per_transaction there, or name fewer tables"
        case "55P03":
            return "; another session holds the table"
        case "57014":
            return "; see statement_timeout"
        case "23505":
            return "; the target has a unique index of its own, which the source does not keep"
    return ""
