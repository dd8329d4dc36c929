"""Parameters of a rotation job from its `with` block."""

from dataclasses import dataclass
from pathlib import Path

from workers.backup.places.place import Place
from workers.params import Duration
from workers.rotation.retention import Policy

_COUNTS = ("keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")
_TWO_DAYS = Duration(2 * 86400.0)


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of `rotation.run`.

    directory: the folder of copies. copies: the places of second copies, each
    rotated by the same rules; one that is missing or fails does not keep the
    others from it. keep_last: the newest verified copies,
    whatever their age. keep_daily ... keep_yearly: the newest of each of so
    many days, ISO weeks, months, years that have one. max_age: of the newest
    verified copy, beyond which nothing is deleted; none: dates are not
    looked at. max_delete: more at once are not deleted.
    """

    directory: Path
    keep_last: int = 3
    keep_daily: int = 7
    keep_weekly: int = 4
    keep_monthly: int = 3
    keep_yearly: int = 0
    max_age: Duration | None = _TWO_DAYS
    max_delete: int = 10
    copies: tuple[Place, ...] = ()

    def __post_init__(self) -> None:
        if self.keep_last < 1:
            raise ValueError(f"keep_last: expected at least 1, got {self.keep_last}")
        for name in (*_COUNTS, "max_delete"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")

    @property
    def policy(self) -> Policy:
        """Return the fields that decide which copies are kept."""
        return Policy(
            last=self.keep_last,
            daily=self.keep_daily,
            weekly=self.keep_weekly,
            monthly=self.keep_monthly,
            yearly=self.keep_yearly,
        )
