"""The mark and the figures that all drills share.

A drill is deselected unless `-m drill` is given. It prints its figures, whether it passes or
not.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder as a drill."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.drill)


class Figures:
    """The figures that a drill reports, in order."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, str]] = []

    def add(self, name: str, value: object) -> None:
        """Add a line to the table."""
        self._lines.append((name, f"{value:.1f}" if isinstance(value, float) else str(value)))

    def table(self) -> str:
        """Return one line for each figure, the names in one column."""
        width = max((len(name) for name, _ in self._lines), default=0)
        return "\n".join(f"  {name:<{width}}  {value}" for name, value in self._lines)


@pytest.fixture
def figures(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> Iterator[Figures]:
    """Collect the figures of this drill and print them at its end."""
    figures = Figures()
    yield figures
    with capsys.disabled():
        print(f"\n\n{request.node.name.replace('_', ' ')}\n{figures.table()}")
