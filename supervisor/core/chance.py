"""How long attempts take and which of them fail, for a simulation: by habit and a seed.

Pure and without dice: the die of an attempt follows from the seed, the name
of its job, its due instant and its number. So an edit of one job changes the
luck of no other.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from supervisor.core.effects import Launch
from supervisor.core.simulation import Ending, Foresight
from supervisor.core.waits import in_full
from workers.protocol import Done, Failed

# One attempt in ten takes as long as the slowest tenth did.
SLOW = 0.1
_FAILED = Failed("failed by chance", permanent=False)
_EXIT_1, _KILLED = 1 << 8, 9


class Habit(Struct, frozen=True, rename=in_full):
    """What is known of a job: its usual and its slow duration, how often it fails.

    seen: from how many runs that is known; 0: it is assumed.
    """

    usual_s: float
    slow_s: float
    failure: float = 0.0
    seen: int = 0


def habit(durations_s: Sequence[float], failure: float = 0.0) -> Habit:
    """The habit of a job that took so long; at least one duration."""
    ordered = sorted(durations_s)
    last = len(ordered) - 1
    return Habit(
        usual_s=ordered[last // 2],
        slow_s=ordered[round(last * (1 - SLOW))],
        failure=failure,
        seen=len(ordered),
    )


def foresight(habits: Mapping[str, Habit], seed: int) -> Foresight:
    """How each attempt ends, by the habit of its job; every job must have one."""

    def foresee(launch: Launch) -> Ending:
        run = launch.run
        known = habits[run.job]
        who = f"{run.job} {run.due.isoformat()} {run.attempt}"
        takes_s = known.slow_s if die(seed, f"{who} takes") < SLOW else known.usual_s
        fails = die(seed, f"{who} fails") < known.failure
        if launch.job.worker is not None:
            return Ending(takes_s, _EXIT_1 if fails else 0, _FAILED if fails else Done({}))
        return Ending(takes_s, _status(launch.job.success_exit_status, fails))

    return foresee


def die(seed: int, words: str) -> float:
    """A number in [0, 1) that looks like chance and is always the same."""
    text = f"{seed} {words}".encode()
    # The text as a number, modulo a prime; then the mixing of splitmix64.
    mixed = int.from_bytes(text) % (2**61 - 1)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = ((mixed ^ (mixed >> shift)) * factor) % 2**64
    return (mixed ^ (mixed >> 31)) / 2**64


def _status(success: tuple[int, ...], fails: bool) -> int:
    """The wait status of an exit that is, or is not, one of these; SIGKILL where none is left."""
    found = next((status for status in range(256) if (status in success) is not fails), None)
    return _KILLED if found is None else found << 8
