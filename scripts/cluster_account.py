"""Check a cluster's trial: its reports of runs, compared with lines that the runs wrote. Pure.

Each attempt writes `begin` and `end` lines with its time, job, run, attempt, host and fence
(scripts/cluster_trial.py). A line of a run that the cluster does not know is a problem, and so
is a run without its lines.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Run = Mapping[str, Any]  # a run as `nightshift history --json` shows it
OPEN = ("pending", "running", "retrying")
# Jobs of this kind have if_lost: never.
ONCE = "careful"


@dataclass(frozen=True, slots=True)
class Line:
    """One line; at: seconds since 1970, by the clock of the machine."""

    word: str
    at: float
    job: str
    run: int
    attempt: int
    host: str
    fence: int


def read_lines(text: str) -> list[Line]:
    """Return the lines of a file in order of their time. Raises: ValueError."""
    found = []
    for line in text.splitlines():
        word, at, job, number, host, fence = line.split()
        run, _, attempt = number.partition(".")
        found.append(Line(word, float(at), job, int(run), int(attempt), host, int(fence)))
    return sorted(found, key=lambda each: each.at)


def account(runs: Sequence[Run], lines: Sequence[Line], killed: str) -> str:
    """Return a line for each run, and what was taken over from the killed host."""
    told = [f"\nThe account, {len(runs)} runs:\n"]
    told.append(f"  {'RUN':>4} {'JOB':<14} {'DUE':<9} {'BY':<9} {'ON':<8} END")
    for run in sorted(runs, key=lambda each: each["id"]):
        hosts = " ".join(each.host for each in _begins(lines, run["id"])) or "-"
        end = run["state"] if run["state"] == "success" else f"{run['state']}: {run['cause']}"
        due, by = run["due"][11:19], run["trigger"]
        told.append(f"  {run['id']:>4} {run['job']:<14} {due:<9} {by:<9} {hosts:<8} {end}")
    over = [run for run in runs if _is_taken_over(lines, run["id"], killed)]
    told.append(f"\nTaken over from {killed}: {_numbers(over)}.")
    ended = [run for run in runs if run["state"] == "interrupted"]
    told.append(f"Interrupted for good, as if_lost: never says: {_numbers(ended)}.")
    return "\n".join(told)


def problems(runs: Sequence[Run], lines: Sequence[Line]) -> list[str]:
    """Return a sentence for each attempt or slot that was doubled, lost or left open."""
    found = [*_of_slots(runs), *_of_lines(lines, {run["id"] for run in runs})]
    for run in runs:
        number, state = run["id"], run["state"]
        begins = _begins(lines, number)
        if state in OPEN:
            found.append(f"run {number} of {run['job']} is still {state}")
        if state == "success" and not any(
            (each.word, each.run, each.attempt) == ("end", number, run["attempt"])
            for each in lines
        ):
            found.append(f"run {number} is called a success and did not end")
        if ONCE in run["job"] and len(begins) > 1:
            found.append(f"run {number} of {run['job']} began {len(begins)} times")
    return found


def _of_slots(runs: Sequence[Run]) -> Iterable[str]:
    """Check the slots: each job with a calendar has one run in each minute."""
    slots = Counter((run["job"], run["slot"]) for run in runs if run["slot"] is not None)
    minutes = {slot for _, slot in slots}
    if not minutes:
        yield "no slot was due: no full minute passed"
    for job in sorted({job for job, _ in slots}):
        for minute in sorted(minutes):
            count = slots[job, minute]
            if count != 1:
                yield f"{job} has {count} runs for its slot {minute}, expected one"


def _of_lines(lines: Sequence[Line], known: set[int]) -> Iterable[str]:
    """Check the lines: each attempt once, and no two attempts of a run at the same time."""
    counts = Counter((each.word, each.run, each.attempt) for each in lines)
    for (word, run, attempt), count in counts.items():
        if count > 1:
            yield f"attempt {attempt} of run {run} has {count} times the line {word}"
    for run in sorted({each.run for each in lines}):
        if run not in known:
            yield f"run {run} was executed and is unknown to the cluster"
        begins = _begins(lines, run)
        for before, after in pairwise(begins):
            ends = [
                each.at
                for each in lines
                if (each.word, each.run, each.attempt) == ("end", run, before.attempt)
            ]
            if any(at > after.at for at in ends):
                yield f"attempts {before.attempt} and {after.attempt} of run {run} overlap"
            if after.fence <= before.fence:
                yield f"the fence of run {run} did not grow: {before.fence}, {after.fence}"


def _begins(lines: Iterable[Line], run: int) -> list[Line]:
    return [each for each in lines if (each.word, each.run) == ("begin", run)]


def _is_taken_over(lines: Iterable[Line], run: int, killed: str) -> bool:
    hosts = [each.host for each in _begins(lines, run)]
    return len(hosts) > 1 and hosts[0] == killed


def _numbers(runs: Iterable[Run]) -> str:
    return ", ".join(f"run {run['id']} ({run['job']})" for run in runs) or "none"
