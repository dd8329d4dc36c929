"""Durations and failures of simulated attempts, from profiles and a seed.

Pure and without random state: the number for an attempt follows from the seed, the
name of its job, its due instant and its attempt number. So an edit of one job does
not change the outcomes of another.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from supervisor.core.effects import Launch
from supervisor.core.simulation.engine import Ending, OutcomeSampler
from supervisor.core.simulation.wait_times import in_full
from workers.protocol import Done, Failed

# One attempt in ten takes as long as the slowest tenth of the past runs.
SLOW = 0.1
_FAILED = Failed("failed by chance", permanent=False)
_EXIT_1, _KILLED = 1 << 8, 9


class DurationProfile(Struct, frozen=True, rename=in_full):
    """Profile of a job: its usual and its slow duration, and its failure rate.

    seen: the number of runs that it is based on; 0: it is assumed.
    """

    usual_s: float
    slow_s: float
    failure: float = 0.0
    seen: int = 0


def profile_of(durations_s: Sequence[float], failure: float = 0.0) -> DurationProfile:
    """Return the profile of a job from at least one duration."""
    ordered = sorted(durations_s)
    last = len(ordered) - 1
    return DurationProfile(
        usual_s=ordered[last // 2],
        slow_s=ordered[round(last * (1 - SLOW))],
        failure=failure,
        seen=len(ordered),
    )


def outcome_sampler(habits: Mapping[str, DurationProfile], seed: int) -> OutcomeSampler:
    """Return a function that ends attempts by profile; every job must have one."""

    def foresee(launch: Launch) -> Ending:
        run = launch.run
        known = habits[run.job]
        who = f"{run.job} {run.due.isoformat()} {run.attempt}"
        takes_s = known.slow_s if seeded_fraction(seed, f"{who} takes") < SLOW else known.usual_s
        fails = seeded_fraction(seed, f"{who} fails") < known.failure
        if launch.job.worker is not None:
            return Ending(takes_s, _EXIT_1 if fails else 0, _FAILED if fails else Done({}))
        return Ending(takes_s, _status(launch.job.success_exit_status, fails))

    return foresee


def seeded_fraction(seed: int, words: str) -> float:
    """Return a number in [0, 1) that looks random and depends only on the arguments."""
    text = f"{seed} {words}".encode()
    # The text as a number modulo a prime, then the mixing steps of splitmix64.
    mixed = int.from_bytes(text) % (2**61 - 1)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = ((mixed ^ (mixed >> shift)) * factor) % 2**64
    return (mixed ^ (mixed >> 31)) / 2**64


def _status(success: tuple[int, ...], fails: bool) -> int:
    """Return a wait status that fails (or succeeds), given the successful exit statuses.

    SIGKILL if no such exit status is left.
    """
    found = next((status for status in range(256) if (status in success) is not fails), None)
    return _KILLED if found is None else found << 8
