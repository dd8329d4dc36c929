"""Parse virtual tables from a schema: `CREATE VIRTUAL TABLE x USING fts5(a, content='t')`.

SQLite stores the statement as written; only the table's module interprets the arguments.
They are quoted as in SQL: '', "", `` or [], or not at all.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_DECLARED = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND rootpage = 0"
_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|\w+|\s+|.""",
    re.DOTALL,
)
_CLOSING = {"'": "'", '"': '"', "`": "`", "[": "]"}
_FTS, _RTREE = ("fts3", "fts4", "fts5"), ("rtree", "rtree_i32", "geopoly")


@dataclass(frozen=True, slots=True)
class Virtual:
    """A virtual table; module: in lower case, empty if the statement cannot be parsed.

    options: the arguments `key=value`, keys in lower case, values without quotes.
    has_content: it stores its rows itself, in a table `<name>_content`.
    """

    name: str
    module: str
    options: tuple[tuple[str, str], ...] = ()
    has_content: bool = False

    @property
    def is_fts(self) -> bool:
        """Return whether it is one of SQLite's own full-text indexes."""
        return self.module in _FTS

    @property
    def is_rtree(self) -> bool:
        """Return whether it is one of SQLite's own R*Trees."""
        return self.module in _RTREE

    @property
    def content(self) -> str:
        """Return the table or view that an FTS index indexes; empty if itself or none."""
        return self._option("content") if self.is_fts else ""

    @property
    def content_key(self) -> str:
        """Return the column that identifies rows of `content`, in lower case; empty for rowid."""
        return self._option("content_rowid").lower()

    @property
    def holds_row_numbers(self) -> bool:
        """Return whether its entries refer to row numbers of another table."""
        is_declared = any(key == "content" for key, _ in self.options)
        is_elsewhere = self.is_fts and (is_declared or not self.has_content)
        return not self.module or self.is_rtree or is_elsewhere

    def _option(self, wanted: str) -> str:
        return next((value for key, value in self.options if key == wanted), "")


def is_of_its_own(line: str) -> bool:
    """Return whether a line of integrity_check says only that an index cannot be compared.

    SQLite 3.44 and later print it: an FTS4 index without content has nothing to compare.
    """
    return line.startswith("unable to validate ")


def tables(connection: sqlite3.Connection) -> tuple[Virtual, ...]:
    """Return the virtual tables of a database, in order of creation."""
    declared = connection.execute(_DECLARED).fetchall()
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND lower(name) = lower(?)"
    return tuple(
        read(
            name, sql or "", connection.execute(query, (f"{name}_content",)).fetchone() is not None
        )
        for name, sql in declared
    )


def read(name: str, sql: str, has_content: bool) -> Virtual:
    """Return the virtual table `name` as declared by the statement `sql`. Pure."""
    tokens = [token for token in _TOKEN.findall(sql) if not _is_blank(token)]
    # A table may itself be named `using`; its name comes before the keyword.
    places = [place for place, token in enumerate(tokens) if token.lower() == "using"]
    place = next((place for place in places if place > 3), None)
    if place is None or place + 1 >= len(tokens):
        return Virtual(name, "", (), has_content)
    module = _plain(tokens[place + 1]).lower()
    return Virtual(name, module, tuple(_options(tokens[place + 3 :])), has_content)


def _options(tokens: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the arguments `key = value` among those between the brackets."""
    for argument in _arguments(tokens):
        if len(argument) > 1 and argument[1] == "=":
            value = argument[2:]
            yield _plain(argument[0]).lower(), "".join(_plain(each) for each in value)


def _arguments(tokens: Sequence[str]) -> Iterator[Sequence[str]]:
    depth, argument = 0, list[str]()
    for token in tokens:
        if token == "," and not depth:
            yield argument
            argument = []
            continue
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth < 0:
            break
        argument.append(token)
    yield argument


def _plain(token: str) -> str:
    closing = _CLOSING.get(token[:1])
    if closing is None or len(token) < 2 or token[-1] != closing:
        return token
    return token[1:-1].replace(closing * 2, closing) if closing != "]" else token[1:-1]


def _is_blank(token: str) -> bool:
    return token.isspace() or token.startswith(("--", "/*"))
