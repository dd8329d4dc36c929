"""Run the sides in turn, for several rounds, so that load on the machine affects all of them.

Values are saved after each side. A side that fails is not run again, and is reported at
the end; the others continue.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from measured import ALL, Measured


def in_turn(
    rounds: int,
    names: Sequence[str],
    measure_side: Callable[[str], None],
    measured: Measured,
    values: Path | None,
) -> list[str]:
    """Run each side in each round; return the failures. measure_side: adds values."""
    failures: dict[str, str] = {}
    for number in range(rounds):
        for name in names:
            if name in failures:
                continue
            try:
                measure_side(name)
                said = measured.newest(name, ALL)
            except (OSError, RuntimeError) as error:
                said = failures[name] = f"failed: {error}"
            measured.save(values)
            print(f"round {number + 1}: {name} {said}", file=sys.stderr, flush=True)
    return [f"{name} {said}" for name, said in failures.items()]
