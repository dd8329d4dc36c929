"""State of one parse of jobs.yaml: interpolates nodes to texts and collects problems.

Each read spends from a budget, so that a file whose aliases expand exponentially is
rejected. Merge keys (`<<`) are merged below a mapping's own keys.
"""

from collections.abc import Sequence

from supervisor.config.interpolation import (
    Content,
    MissingSecretFileError,
    Part,
    Sources,
    UnsetVariableError,
    split,
)
from supervisor.config.problems import (
    BadValueError,
    Nearest,
    UnknownNameError,
    dotted,
    quote_value,
)
from supervisor.config.result import in_order
from supervisor.config.yaml_nodes import (
    DEEPEST,
    PLAIN,
    QUOTED,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
)
from supervisor.core.config_model import Problem, Severity
from supervisor.redaction.secrets import Secrets
from workers.units import format_count

# Budget for nodes that aliases add to those written. A long text counts by its length.
MOST_ADDED = 1_000_000
_LONG = 256
_CHARACTERS_A_UNIT = 64

# Each problem is stored, sent and shown; more than this are of no use at once.
MOST_KEPT = 100

_COLLECTION_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_TEXT_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null"))
_NOTHING = ("", "~", "null", "Null", "NULL")

Pairs = dict[str, tuple[Node, Node]]


class BudgetExceededError(Exception):
    """Aliases expand to more values than the budget allows; parsing stops."""


class ParseContext:
    """The state of one parse.

    lenient: whether an unset reference is only a warning (in a disabled job).
    left_as_written: whether the last text read kept an unresolved reference.
    errors: the number of errors reported so far.
    """

    def __init__(self, sources: Sources, size: int) -> None:
        self.sources = sources
        self.secrets = Secrets()
        self.nearest = Nearest()
        self.lenient = False
        self.left_as_written = False
        self.errors = 0
        self._problems: list[Problem] = []
        self._left_out: list[Problem] = []  # the first problem beyond MOST_KEPT, if any
        self._left_out_count = 0
        self._budget = size + MOST_ADDED
        self._merged: dict[int, Pairs] = {}
        self._merging: set[int] = set()

    def problems(self) -> tuple[Problem, ...]:
        """Return the first MOST_KEPT problems in file order, plus a summary of the others."""
        return in_order([*self._problems, *map(self._summed_up, self._left_out)])

    def report(
        self,
        node: Node,
        path: Sequence[str],
        message: str,
        hint: str = "",
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Record a problem at the start of `node`."""
        mark = node.start_mark
        self.errors += severity is Severity.ERROR
        problem = Problem(mark.line + 1, mark.column + 1, dotted(*path), message, hint, severity)
        if len(self._problems) < MOST_KEPT:
            self._problems.append(problem)
        else:
            self._left_out = self._left_out or [problem]
            self._left_out_count += 1

    def _summed_up(self, first: Problem) -> Problem:
        text = format_count(
            self._left_out_count,
            "more mistake from here on is not listed",
            "more mistakes from here on are not listed",
        )
        severity = Severity.ERROR if self.errors else Severity.WARNING
        return Problem(first.line, first.column, "", text, severity=severity)

    def report_wrong(self, node: Node, path: Sequence[str], wrong: BadValueError) -> None:
        """Record the error of a reader, unless the text was left as written."""
        if not self.left_as_written:
            hint = (
                self.nearest.match(wrong.word, wrong.known)
                if isinstance(wrong, UnknownNameError)
                else ""
            )
            self.report(node, path, wrong.message, wrong.hint or hint)

    def text(self, node: Node, path: Sequence[str]) -> str:
        """Return the text of a scalar with `${}` interpolated. Raises: BadValueError."""
        text = self.written(node)
        if "${" in text:
            text = self._replaced(node, path, text)
            self._visit(text)
        return text

    def written(self, node: Node) -> str:
        """Return the text of a scalar as written in the file. Raises: BadValueError."""
        self.left_as_written = False
        if not isinstance(node, ScalarNode):
            raise BadValueError(f"expected text, got {kind_name(node)}")
        if node.tag is not PLAIN and node.tag is not QUOTED and node.tag not in _TEXT_TAGS:
            raise BadValueError(f"expected a value without a tag, got {quote_value(node.tag)}")
        text: str = node.value
        self._visit(text)
        return text

    def pairs(self, node: Node, path: Sequence[str]) -> Pairs:
        """Return the entries of a mapping by key, merge keys applied. Raises: BadValueError."""
        if not isinstance(node, MappingNode):
            raise BadValueError(f"expected a mapping, got {kind_name(node)}")
        _require_no_tag(node)
        self.spend(len(node.value) + 1)
        found: Pairs = {}
        merges: list[tuple[Node, Node]] = []
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.report(key, path, f"expected a key, got {kind_name(key)}")
            elif key.value in found:
                line = found[key.value][0].start_mark.line + 1
                self.report(key, (*path, key.value), f"duplicate key, first on line {line}")
            elif key.value == "<<" and key.tag is PLAIN:
                merges.append((key, value))
            else:
                found[key.value] = (key, value)
        for again, _ in merges[1:]:
            # Parsers differ in which one wins.
            line = merges[0][0].start_mark.line + 1
            hint = "write one list, of which the first wins: <<: [*one, *two]"
            self.report(again, (*path, "<<"), f"duplicate key, first on line {line}", hint)
        for _, value in merges[:1]:
            self._merge(value, path, found)
        return found

    def items(self, node: Node) -> list[Node]:
        """Return the items of a list; a scalar counts as one item, null as none.

        Raises:
            BadValueError: the node is a mapping, or has a tag.
        """
        if isinstance(node, SequenceNode):
            _require_no_tag(node)
            self.spend(len(node.value) + 1)
            return list(node.value)
        if isinstance(node, ScalarNode):
            return [] if is_nothing(node) else [node]
        raise BadValueError(f"expected a list, got {kind_name(node)}")

    def spend(self, units: int) -> None:
        """Spend from the budget. Raises: BudgetExceededError when it is exhausted."""
        self._budget -= units
        if self._budget < 0:
            raise BudgetExceededError

    def _visit(self, text: str) -> None:
        if len(text) > _LONG:
            self.spend(len(text) // _CHARACTERS_A_UNIT)
        if "\0" in text:
            raise BadValueError("a NUL character cannot be passed to a process")
        if "://" in text or "assword" in text:
            self.secrets.add_passwords_in(text)

    def _merge(self, node: Node, path: Sequence[str], found: Pairs) -> None:
        """Merge the mapping or mappings of a merge key into `found`; existing keys win."""
        self.spend(1)
        for source in node.value if isinstance(node, SequenceNode) else [node]:
            try:
                self._merge_under(source, path, found)
            except BadValueError:
                message = "expected a mapping to merge, or a list of them"
                self.report(source, (*path, "<<"), f"{message}, got {kind_name(source)}")

    def _merge_under(self, source: Node, path: Sequence[str], found: Pairs) -> None:
        if id(source) in self._merging:
            self.report(source, (*path, "<<"), "a mapping is merged into itself")
            return
        if len(self._merging) > DEEPEST:
            raise BudgetExceededError
        if id(source) not in self._merged:
            self._merging.add(id(source))
            try:
                self._merged[id(source)] = self.pairs(source, path)
            finally:
                self._merging.discard(id(source))
        self.spend(len(self._merged[id(source)]))
        for name, pair in self._merged[id(source)].items():
            found.setdefault(name, pair)

    def _replaced(self, node: Node, path: Sequence[str], text: str) -> str:
        try:
            return "".join(self._value(part) for part in split(text))
        except UnsetVariableError as unset:
            if not self.lenient:
                raise
            hint = "left as it is, since the job is disabled"
            self.report(node, path, unset.message, hint, Severity.WARNING)
            self.left_as_written = True
            return text

    def _value(self, part: Part) -> str:
        if isinstance(part, str):
            return part
        if isinstance(part, Content):
            return self._content(part)
        value = self.sources.variable(part.name)
        # As in a shell, `:-` also applies to an empty value.
        if value or (value is not None and part.default is None):
            self.secrets.add_named(part.name, value)
            return value
        if part.default is None:
            hint = f"${{{part.name}:-...}} gives it a default"
            raise UnsetVariableError(f"${{{part.name}}} is not set", hint)
        return "".join(map(self._value, part.default))

    def _content(self, part: Content) -> str:
        try:
            content = self.sources.file("".join(map(self._value, part.path)))
        except (
            MissingSecretFileError
        ):  # an existing file that cannot be read is an error even with a default
            if part.default is None:
                raise
            return "".join(map(self._value, part.default))
        self.secrets.add(content)
        return content


def _require_no_tag(node: Node) -> None:
    """Raise BadValueError if a list or a mapping has a tag, which would have no effect."""
    if _is_tagged(node):
        kind = "list" if isinstance(node, SequenceNode) else "mapping"
        raise BadValueError(f"expected a {kind} without a tag, got {quote_value(node.tag)}")


def _is_tagged(node: Node) -> bool:
    return node.tag is not PLAIN and node.tag not in _COLLECTION_TAGS


def is_nothing(node: Node) -> bool:
    """Return whether a node is a plain scalar for null: empty, `~` or `null`."""
    return isinstance(node, ScalarNode) and node.tag is PLAIN and node.value in _NOTHING


def kind_name(node: Node) -> str:
    """Return a description of a node for messages."""
    if isinstance(node, ScalarNode):
        return "nothing" if is_nothing(node) else quote_value(node.value)
    kind = "a list" if isinstance(node, SequenceNode) else "a mapping"
    return f"{kind} with the tag {quote_value(node.tag)}" if _is_tagged(node) else kind
