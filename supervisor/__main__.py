"""Entry point: `python -m supervisor` is `nightshift`.

`supervisor` and `workers` are common package names. Before importing anything else,
`main` checks that both belong to Nightshift and refuses to run if they do not.
"""

import gc
import sys
from pathlib import Path
from types import ModuleType

import supervisor
import workers

DISTRIBUTION = "nightshift-cron"
_INTERRUPTED = 130
HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run one command and return its exit status: 130 after Ctrl-C."""
    try:
        return _run()
    except KeyboardInterrupt:
        # Ctrl-C came while the modules of a command were imported.
        return _INTERRUPTED


def _run() -> int:
    for package, place in ((supervisor, HERE), (workers, HERE.parent / "workers")):
        if not _is_ours(package, place):
            print(
                f"nightshift: the package `{package.__name__}` at {_place(package)} is not ours, "
                f"expected the one at {place}\n"
                f"  hint: install {DISTRIBUTION} into a virtual environment of its own, "
                "and leave other packages of this name off $PYTHONPATH",
                file=sys.stderr,
            )
            return 2
    # Imports and bursts make many values and no cycles: with Python's own thresholds,
    # collection takes a twentieth of a start and a seventh of a burst.
    gc.set_threshold(50_000, 20, 100)
    from supervisor.cli import inherited_state

    inherited_state.settle()
    from supervisor.cli.main import main as run_command

    try:
        return run_command()
    finally:
        # The process ends with all that it has: a last search for cycles, which Python
        # makes at its exit, would be a sixth of a short command.
        gc.freeze()


def _is_ours(package: ModuleType, place: Path) -> bool:
    """Return whether the package lies next to this one and was not overwritten by another."""
    return _place(package) == place and getattr(package, "DISTRIBUTION", "") == DISTRIBUTION


def _place(package: ModuleType) -> Path | None:
    return Path(package.__file__).resolve().parent if package.__file__ else None


if __name__ == "__main__":
    sys.exit(main())
