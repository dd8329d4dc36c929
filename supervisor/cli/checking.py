"""What `check` finds in a file without mistakes, and beside a living supervisor."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec

from supervisor import shown
from supervisor.cli import answers
from supervisor.cli.client import Client
from supervisor.cli.failure import Failure
from supervisor.cli.moments import Moments
from supervisor.cli.printing import Table, clean, say
from supervisor.config import Loaded
from supervisor.core import moves, schedule
from supervisor.core.model import Config, Job, Problem
from supervisor.masking import masker

NEXT_SLOTS = 2


@dataclass(frozen=True, slots=True)
class Outlook:
    """When a job will run: in words, the next slots, and what daylight saving does."""

    name: str
    enabled: bool
    cron: tuple[str, ...]
    words: tuple[str, ...]
    timezone: str
    next: tuple[datetime, ...]
    daylight_saving: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """What the file would change; changed: job -> key -> (now, then)."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: Mapping[str, Mapping[str, tuple[Any, Any]]]


@dataclass(frozen=True, slots=True)
class Findings:
    """All that `check` knows. difference None: no supervisor to compare with."""

    ok: bool
    problems: tuple[Problem, ...]
    jobs: tuple[Outlook, ...] = ()
    difference: Difference | None = None


def findings(loaded: Loaded, client: Client, utc: bool) -> Findings:
    """What came of reading the file, its calendar as seen from now."""
    if loaded.config is None:
        return Findings(False, loaded.problems)
    now = datetime.now(UTC)
    jobs = tuple(_outlook(job, now, utc) for job in loaded.config.jobs)
    return Findings(True, loaded.problems, jobs, _difference(loaded.config, client))


def show(found: Findings) -> None:
    """Print the jobs, what daylight saving does to them, and what would change."""
    table = Table("JOB", "SCHEDULE", "NEXT", "AFTER THAT", spare=("AFTER THAT",))
    for job in found.jobs:
        when = Moments(UTC, datetime.now(UTC))
        slots = [f"{slot:%a %Y-%m-%d %H:%M %Z} ({when.near(slot)})" for slot in job.next[:1]]
        slots += [f"{slot:%a %Y-%m-%d %H:%M %Z}" for slot in job.next[1:]]
        words = "; ".join(job.words) or "by request only"
        table.add(job.name, words if job.enabled else "disabled", *(*slots, "-", "-")[:2])
    table.show()
    said = [f"{job.name}: {words}" for job in found.jobs for words in job.daylight_saving]
    if said:
        say("\nDaylight saving:")
    for line in said:
        say(f"  {line}")
    if found.difference is not None:
        _show_difference(found.difference)


def _outlook(job: Job, now: datetime, utc: bool) -> Outlook:
    zone = UTC if utc else schedule.zone(job.timezone)
    slots: list[datetime] = []
    if job.cron and job.enabled:
        coming = schedule.calendar(job.cron, job.timezone).slots_after(now)
        slots = [slot.astimezone(zone) for slot in islice(coming, NEXT_SLOTS)]
    words = tuple(schedule.explain(each) for each in job.cron)
    told = tuple(moves.in_words(job, now)) if job.enabled else ()
    return Outlook(job.name, job.enabled, job.cron, words, job.timezone, tuple(slots), told)


def _difference(config: Config, client: Client) -> Difference | None:
    """Against the definitions in force, if somebody tells them."""
    try:
        body = client.get("v1", "jobs")
    except Failure:
        return None
    before = {job["name"]: job for job in answers.read(body, dict[str, Any])["jobs"]}
    mask = masker(config.secrets)
    after = {job.name: _as_told(shown.job(job, mask)) for job in config.jobs}
    changed = {name: _changed(before[name], after[name]) for name in after if name in before}
    return Difference(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed={name: keys for name, keys in changed.items() if keys},
    )


def _as_told(definition: shown.Definition) -> dict[str, Any]:
    """As the supervisor tells it: lists, not tuples."""
    return msgspec.json.decode(msgspec.json.encode(definition), type=dict[str, Any])


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        key: (before[key], after[key])
        for key in after
        if key in before and before[key] != after[key]
    }


def _show_difference(difference: Difference) -> None:
    say("\nBeside the living supervisor:")
    for name in difference.added:
        say(f"  added    {name}")
    for name in difference.removed:
        say(f"  removed  {name}")
    for name, keys in difference.changed.items():
        for key, (before, after) in keys.items():
            say(f"  changed  {name}: {key}: {clean(str(before))} -> {clean(str(after))}")
    if not (difference.added or difference.removed or difference.changed):
        say("  nothing would change")
