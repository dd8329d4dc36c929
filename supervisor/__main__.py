"""`python -m supervisor` is `nightshift`.

`supervisor` and `workers` are common names of packages: before anything else of
them is imported, this looks whether both are ours, and refuses to go on if not.
"""

import sys
from pathlib import Path
from types import ModuleType

import supervisor
import workers

DISTRIBUTION = "nightshift-cron"
HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run one verb; its exit status."""
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
    from supervisor import inherited

    inherited.settle()
    from supervisor.cli import program

    return program.main()


def _is_ours(package: ModuleType, place: Path) -> bool:
    """Whether it lies beside us, and no other package was installed over it."""
    return _place(package) == place and getattr(package, "DISTRIBUTION", "") == DISTRIBUTION


def _place(package: ModuleType) -> Path | None:
    return Path(package.__file__).resolve().parent if package.__file__ else None


if __name__ == "__main__":
    sys.exit(main())
