"""The modules of the two packages as the tests of the layout see them, each file read once."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILES = sorted([*ROOT.glob("supervisor/**/*.py"), *ROOT.glob("workers/**/*.py")])


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {name_of(file): file for file in FILES}


@dataclass(frozen=True, slots=True)
class Module:
    """What is compared of a module; its tree is not kept, because all trees are 400,000 objects.

    used: names such as `os.kill`, anywhere. called: `open` and `time.time`, where they are called.
    """

    file: Path
    imports: frozenset[str]
    used: frozenset[str]
    called: frozenset[str]
    has_docstring: bool
    lines: int


@cache
def modules() -> Mapping[str, Module]:
    """Return every module of the two packages by its name, each file read once."""
    return {name: read(file) for name, file in NAMES.items()}


def read(file: Path) -> Module:
    text = file.read_text()
    tree = ast.parse(text, str(file))
    imports, used, called = set(), set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.update(imported(node, file))
        elif isinstance(node, ast.Attribute):
            used.add(dotted(node))
        elif isinstance(node, ast.Call):
            called.add(dotted(node.func))
    has_docstring = ast.get_docstring(tree) is not None
    return Module(
        file,
        frozenset(imports),
        frozenset(used),
        frozenset(called),
        has_docstring,
        text.count("\n"),
    )


def dotted(node: ast.expr) -> str:
    """Return a name, or a name and its attribute; "" of anything else."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"{node.value.id}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def imported(node: ast.Import | ast.ImportFrom, file: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    assert node.level == 0, f"{file}: imports are absolute"
    assert node.module
    for alias in node.names:
        whole = f"{node.module}.{alias.name}"
        yield whole if whole in NAMES else node.module


def imports(module: str) -> frozenset[str]:
    """Return every module that this module imports, anywhere in its code."""
    return modules()[module].imports


def is_ours(module: str) -> bool:
    return module.split(".")[0] in ("supervisor", "workers")
