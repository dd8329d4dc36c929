"""Compare an edited jobs.yaml with the definitions of the running supervisor.

The running definitions are fetched from the API and parsed again. Secrets are masked
there, so keys are compared in their masked form; schedules are compared exactly.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from supervisor.cli.client import Client
from supervisor.cli.decode import decode
from supervisor.cli.errors import CliError
from supervisor.cli.output import clean, echo, echo_wrapped
from supervisor.cli.time_format import TimeFormat
from supervisor.config import definitions
from supervisor.core import config_diff, responses
from supervisor.core.config_diff import DroppedSlot, Rescheduled
from supervisor.core.config_model import Config
from supervisor.core.model import replace
from supervisor.core.views import Definition, Status
from supervisor.redaction.mask import mask_of
from supervisor.redaction.secrets import secrets_among


@dataclass(frozen=True, slots=True)
class Difference:
    """The changes that the file would make; changed: job -> key -> (old, new)."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    rescheduled: tuple[Rescheduled, ...]
    changed: Mapping[str, Mapping[str, tuple[Any, Any]]]
    dropped_slots: tuple[DroppedSlot, ...]
    at_next_start: tuple[str, ...]

    def __bool__(self) -> bool:
        calendars = (self.added, self.removed, self.rescheduled, self.dropped_slots)
        return any((*calendars, self.changed, self.at_next_start))


class Calendars(Protocol):
    """Fields that a reload response and a Difference have in common."""

    @property
    def added(self) -> Sequence[str]: ...
    @property
    def removed(self) -> Sequence[str]: ...
    @property
    def rescheduled(self) -> Sequence[Rescheduled]: ...
    @property
    def dropped_slots(self) -> Sequence[DroppedSlot]: ...
    @property
    def at_next_start(self) -> Sequence[str]: ...


def read_in_force(client: Client, config: Config) -> Config | None:
    """Return the running definitions and metrics address, with other settings from `config`.

    None if no supervisor answers, or one of another version.
    """
    try:
        in_force = decode(client.get("v1", "jobs"), responses.Jobs).jobs
        status = decode(client.get("v1", "status"), Status)
        jobs = tuple(definitions.job_from(each, place) for place, each in enumerate(in_force))
    except (CliError, msgspec.ValidationError):
        return None
    metrics = status.metrics.address if status.metrics else None
    return replace(config, jobs=jobs, max_concurrent=status.pool.max, metrics=metrics)


def difference(before: Config, after: Config) -> Difference:
    """Return the changes from the running definitions to the file, as of now."""
    mask = mask_of(after, secrets_among(os.environ.items()))
    old = {job.name: job for job in before.jobs}
    new = {job.name: job for job in after.jobs}
    found = config_diff.compare(old, new, datetime.now(UTC))
    changed = {
        name: _changed(
            definitions.definition_of(old[name], str), definitions.definition_of(new[name], mask)
        )
        for name in new
        if name in old
    }
    return Difference(
        added=found.added,
        removed=found.removed,
        rescheduled=found.rescheduled,
        changed={name: keys for name, keys in changed.items() if keys},
        dropped_slots=found.dropped_slots,
        at_next_start=config_diff.at_next_start(before, after),
    )


def show(found: Difference, when: TimeFormat) -> None:
    """Print the changes, one line per change."""
    echo()
    echo("Beside the living supervisor:")
    for line in format_lines(found, when):
        echo_wrapped(f"  {line}", 4)
    for name, keys in found.changed.items():
        for key, (before, after) in keys.items():
            echo_wrapped(
                f"  changed      {name}: {key}: {clean(str(before))} -> {clean(str(after))}", 4
            )
    if not found:
        echo("  nothing would change")


def format_lines(found: Calendars, when: TimeFormat) -> Iterator[str]:
    """Yield a line for each added, removed, rescheduled or dropped item, and each delayed key."""
    for name in found.added:
        yield f"added        {name}"
    for name in found.removed:
        yield f"removed      {name}"
    for moved in found.rescheduled:
        before, after = _slot(moved.before, when), _slot(moved.after, when)
        yield f"rescheduled  {moved.job}: next slot {before} -> {after}"
    for gone in found.dropped_slots:
        yield f"dropped      {gone.job}: {when.slot(gone.slot)} will not come"
    for key in found.at_next_start:
        yield f"later        {key}: takes effect at the next start"


def _slot(slot: datetime | None, when: TimeFormat) -> str:
    return "none" if slot is None else when.slot(slot)


def _changed(before: Definition, after: Definition) -> dict[str, tuple[Any, Any]]:
    old, new = _as_written(before), _as_written(after)
    return {key: (old[key], new[key]) for key in new if old[key] != new[key]}


def _as_written(definition: Definition) -> dict[str, Any]:
    """Return the definition as plain JSON values, with lists instead of tuples."""
    return msgspec.json.decode(msgspec.json.encode(definition), type=dict[str, Any])
