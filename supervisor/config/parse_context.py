"""One jobs.yaml while it is read: its nodes made texts, its problems gathered.

What is asked here costs from a purse, so that aliases that multiply into
billions end in a problem. Merge keys (`<<`) are laid under a mapping's own.
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
from supervisor.core.model import Problem, Severity
from supervisor.redaction.secrets import Secrets

# What aliases may add to what is written. A long text counts by its length.
MOST_ADDED = 1_000_000
_LONG = 256
_CHARACTERS_A_UNIT = 64

# Nobody mends more at once, and each is kept, sent and shown.
MOST_KEPT = 100

_TEXT_TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null"))
_NOTHING = ("", "~", "null", "Null", "NULL")

Pairs = dict[str, tuple[Node, Node]]


class BudgetExceededError(Exception):
    """Aliases expand to more than is sane; reading stops."""


class ParseContext:
    """The state of one reading.

    lenient: whether what is unset is only a warning (in a disabled job).
    left_as_written: whether the text read last holds a reference that stayed.
    errors: how many were reported so far.
    """

    def __init__(self, sources: Sources, size: int) -> None:
        self.sources = sources
        self.secrets = Secrets()
        self.nearest = Nearest()
        self.lenient = False
        self.left_as_written = False
        self.errors = 0
        self._problems: list[Problem] = []
        self._left_out: list[Problem] = []  # the first that was not kept, if any
        self._left_out_count = 0
        self._purse = size + MOST_ADDED
        self._merged: dict[int, Pairs] = {}
        self._merging: set[int] = set()

    def problems(self) -> tuple[Problem, ...]:
        """Return the first MOST_KEPT so far, in the order of the file, and how many there are."""
        return in_order([*self._problems, *map(self._summed_up, self._left_out)])

    def report(
        self,
        node: Node,
        path: Sequence[str],
        message: str,
        hint: str = "",
        severity: Severity = Severity.ERROR,
    ) -> None:
        """There is a problem where `node` begins."""
        mark = node.start_mark
        self.errors += severity is Severity.ERROR
        problem = Problem(mark.line + 1, mark.column + 1, dotted(*path), message, hint, severity)
        if len(self._problems) < MOST_KEPT:
            self._problems.append(problem)
        else:
            self._left_out = self._left_out or [problem]
            self._left_out_count += 1

    def _summed_up(self, first: Problem) -> Problem:
        text = f"{self._left_out_count} more mistakes from here on are not listed"
        severity = Severity.ERROR if self.errors else Severity.WARNING
        return Problem(first.line, first.column, "", text, severity=severity)

    def report_wrong(self, node: Node, path: Sequence[str], wrong: BadValueError) -> None:
        """The same for what a reader raised; nothing if the text was left as written."""
        if not self.left_as_written:
            hint = (
                self.nearest.match(wrong.word, wrong.known)
                if isinstance(wrong, UnknownNameError)
                else ""
            )
            self.report(node, path, wrong.message, wrong.hint or hint)

    def text(self, node: Node, path: Sequence[str]) -> str:
        """The text of a scalar with what stands in `${}` put in. Raises: Wrong."""
        text = self.written(node)
        if "${" in text:
            text = self._replaced(node, path, text)
            self._visit(text)
        return text

    def written(self, node: Node) -> str:
        """The text of a scalar as it stands in the file. Raises: Wrong."""
        self.left_as_written = False
        if not isinstance(node, ScalarNode):
            raise BadValueError(f"expected text, got {kind_name(node)}")
        if node.tag is not PLAIN and node.tag is not QUOTED and node.tag not in _TEXT_TAGS:
            raise BadValueError(f"expected a value without a tag, got {quote_value(node.tag)}")
        text: str = node.value
        self._visit(text)
        return text

    def pairs(self, node: Node, path: Sequence[str]) -> Pairs:
        """The entries of a mapping by their keys. Raises: Wrong."""
        if not isinstance(node, MappingNode):
            raise BadValueError(f"expected a mapping, got {kind_name(node)}")
        self.spend(len(node.value) + 1)
        found: Pairs = {}
        merges = []
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.report(key, path, f"expected a key, got {kind_name(key)}")
            elif key.value in found:
                line = found[key.value][0].start_mark.line + 1
                self.report(key, (*path, key.value), f"duplicate key, first on line {line}")
            elif key.value == "<<" and key.tag is PLAIN:
                merges.append(value)
            else:
                found[key.value] = (key, value)
        for value in merges:
            self._merge(value, path, found)
        return found

    def items(self, node: Node) -> list[Node]:
        """The items of a list; a scalar is a list of one, nothing is an empty one.

        Raises:
            Wrong: it is a mapping.
        """
        if isinstance(node, SequenceNode):
            self.spend(len(node.value) + 1)
            return list(node.value)
        if isinstance(node, ScalarNode):
            return [] if is_nothing(node) else [node]
        raise BadValueError(f"expected a list, got {kind_name(node)}")

    def spend(self, units: int) -> None:
        """Take from the purse. Raises: TooMuch when it is empty."""
        self._purse -= units
        if self._purse < 0:
            raise BudgetExceededError

    def _visit(self, text: str) -> None:
        if len(text) > _LONG:
            self.spend(len(text) // _CHARACTERS_A_UNIT)
        if "\0" in text:
            raise BadValueError("a NUL character cannot be passed to a process")
        if "://" in text or "assword" in text:
            self.secrets.add_passwords_in(text)

    def _merge(self, node: Node, path: Sequence[str], found: Pairs) -> None:
        """Lay the mapping, or each of the mappings, of a merge key under `found`."""
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
        # As in a shell, `:-` also stands in for a value that is empty.
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
        ):  # one that is there and may not be read is a mistake, default or not
            if part.default is None:
                raise
            return "".join(map(self._value, part.default))
        self.secrets.add(content)
        return content


def is_nothing(node: Node) -> bool:
    """Whether a plain scalar stands for nothing: empty, `~` or `null`."""
    return isinstance(node, ScalarNode) and node.tag is PLAIN and node.value in _NOTHING


def kind_name(node: Node) -> str:
    """What a node is, in words."""
    if isinstance(node, ScalarNode):
        return "nothing" if is_nothing(node) else quote_value(node.value)
    return "a list" if isinstance(node, SequenceNode) else "a mapping"
