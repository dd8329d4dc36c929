"""What can go wrong between two databases, each as one sentence for a person.

Values only, and the translation of PostgreSQL's errors. The law: no text here
holds a password, and none of psycopg's errors goes further than this file.
"""

import re

import psycopg

# Those that a later attempt may not meet again: connection, rollback, resources,
# a lock not got, an operator's hand, the system; 28 since rights may be about to come.
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
    """A run that cannot go on. permanent: a later attempt would meet the same.

    column: the name in PostgreSQL of the column that it speaks of, or empty.
    """

    def __init__(self, text: str, permanent: bool = True, column: str = "") -> None:
        super().__init__(text)
        self.permanent, self.column = permanent, column


class ReplicationCancelledError(Exception):
    """The run was asked to end; nothing was committed."""


def of_postgres(where: str, error: psycopg.Error, secret: str = "") -> ReplicationError:
    """`error` as a sentence about the server at `where`; `secret` is cut out of it."""
    state = error.sqlstate or ""
    words = " ".join(str(error.diag.message_primary or error).split()) or type(error).__name__
    detail = error.diag.message_detail
    # Of a data exception PostgreSQL adds values, or whole rows.
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
    """PostgreSQL's words about a value without the value, which may be a secret."""
    return _QUOTED.sub("...", words)


def shown(value: object) -> str:
    """What a message says of a value: how long it is, and nothing of what it holds."""
    if isinstance(value, str):
        return f" of {len(value)} character{'' if len(value) == 1 else 's'}"
    if isinstance(value, bytes):
        return f" of {len(value)} byte{'' if len(value) == 1 else 's'}"
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
