"""The mark and the figures that all drills share.

Each drill is left out unless it is asked for with `-m drill`, and prints what it
counted, whether it held or not.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every story of this folder bears the mark."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.drill)


class Figures:
    """What a drill counted, in the order it was reported."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, str]] = []

    def tell(self, name: str, value: object) -> None:
        """One line of the table."""
        self._lines.append((name, f"{value:.1f}" if isinstance(value, float) else str(value)))

    def table(self) -> str:
        """A line a figure, the names in one column."""
        width = max((len(name) for name, _ in self._lines), default=0)
        return "\n".join(f"  {name:<{width}}  {value}" for name, value in self._lines)


@pytest.fixture
def figures(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> Iterator[Figures]:
    """The figures of this drill, printed at its end."""
    figures = Figures()
    yield figures
    with capsys.disabled():
        print(f"\n\n{request.node.name.replace('_', ' ')}\n{figures.table()}")
