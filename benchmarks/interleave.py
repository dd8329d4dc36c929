"""Sides in turn, several times: what loads the machine for a while meets them all.

Values are saved after each side. One that fails is not asked again, and is told
of at the end; the others go on.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from measured import ALL, Measured


def taken(
    rounds: int,
    names: Sequence[str],
    play: Callable[[str], None],
    measured: Measured,
    values: Path | None,
) -> list[str]:
    """What failed, by side; `play` adds to what is measured."""
    failures: dict[str, str] = {}
    for number in range(rounds):
        for name in names:
            if name in failures:
                continue
            try:
                play(name)
                said = measured.newest(name, ALL)
            except (OSError, RuntimeError) as error:
                said = failures[name] = f"failed: {error}"
            measured.save(values)
            print(f"round {number + 1}: {name} {said}", file=sys.stderr, flush=True)
    return [f"{name} {said}" for name, said in failures.items()]
