"""YAML text -> a tree of nodes with positions; no types, no construction.

PyYAML composes the tree, with libyaml if available. Every scalar stays text: its `tag`
is PLAIN, QUOTED, or the tag written in the file. Depth is bounded here, because the
composer in C would otherwise overflow its stack. Enter by `compose`.
"""

import re

import yaml
from msgspec import Struct
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import Resolver
from yaml.scanner import Scanner

try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]
except ImportError:  # PyYAML built without libyaml

    class CParser(Reader, Scanner, Parser, Composer):  # type: ignore[no-redef]
        """The pure Python parser: slower, otherwise equivalent."""

        def __init__(self, stream: str) -> None:
            Reader.__init__(self, stream)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)


__all__ = ["PLAIN", "QUOTED", "MappingNode", "Node", "ScalarNode", "SequenceNode", "YamlError"]

PLAIN = "plain"
QUOTED = "quoted"
DEEPEST = 100

_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)


class YamlError(ValueError):
    """Invalid YAML; line and column count from 1."""

    def __init__(self, line: int, column: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.message = message
        self.hint = hint


class Tree(Struct, frozen=True):
    """A composed text: its root node (None for an empty text) and its number of nodes."""

    root: Node | None
    size: int


def compose(text: str) -> Tree:
    """Return the node tree of a text. Raises: YamlError."""
    try:
        composer = _Composer(text)
        root = composer.get_single_node()
    except yaml.reader.ReaderError as error:
        raise _unreadable(text) from error
    except yaml.MarkedYAMLError as error:
        raise _broken(text, error) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise YamlError(1, 1, f"is not YAML: {error}") from error
    return Tree(root, composer.size)


class _Composer(CParser, Resolver):
    def __init__(self, text: str) -> None:
        CParser.__init__(self, text)
        Resolver.__init__(self)
        self.size = 0
        self._depth = 0

    def resolve(self, kind: type[Node], value: str | None, implicit: object) -> str:
        return PLAIN if kind is not ScalarNode or implicit[0] else QUOTED  # type: ignore[index]

    def descend_resolver(self, parent: Node | None, index: object) -> None:
        self.size += 1
        self._depth += 1
        if self._depth > DEEPEST:
            mark = parent.start_mark if parent is not None else None
            raise yaml.MarkedYAMLError(problem="is nested too deeply", problem_mark=mark)

    def ascend_resolver(self) -> None:
        self._depth -= 1


def _unreadable(text: str) -> YamlError:
    match = _FORBIDDEN.search(text)
    at = match.start() if match else 0
    line, column = position_of(text, at)
    return YamlError(line, column, f"the character {text[at : at + 1]!r} may not stand in YAML")


def position_of(text: str, at: int) -> tuple[int, int]:
    """Return the line and column, from 1, of the character at index `at`."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _broken(text: str, error: yaml.MarkedYAMLError) -> YamlError:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    problem = error.problem or "cannot be read"
    lines = text.splitlines()
    written = lines[line] if line < len(lines) else ""
    if "alias" in (error.context or "") and "*" in written:
        hint = 'a value with "*" must stand in quotes: cron: "* * * * *"'
        return YamlError(line + 1, max(column, 1), 'an alias "*" without a name', hint)
    if "tab" in problem or ("any token" in problem and written[column : column + 1] == "\t"):
        return YamlError(line + 1, column + 1, "a tab where YAML wants spaces")
    if "another document" in problem:
        return YamlError(line + 1, column + 1, "a second document begins; expected one")
    context = f"{error.context}: " if error.context else ""
    return YamlError(line + 1, column + 1, context + problem, _hint(written, problem))


def _hint(written: str, problem: str) -> str:
    if "${" in written and ("','" in problem or "flow" in problem):
        return 'inside { } and [ ], a value with "${" must stand in quotes'
    if "undefined alias" in problem:
        return "a value that begins with * must stand in quotes"
    if "mapping values" in problem:
        return 'a value with ": " must stand in quotes, or the indentation is wrong'
    if "%" in written or "@" in written or "`" in written:
        return "a value that begins with %, @ or ` must stand in quotes"
    return ""
