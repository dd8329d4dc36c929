"""What is published, as families of samples for Prometheus.

A function of values: `Seen` in, text out. Nothing is counted here, and no
registry of the client's is used but one that holds a single scrape. Labels are
bounded: jobs of the file and reserved ones, closed lists, and the names of
workers' numbers, of which the core keeps so many a job.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder

from supervisor.core import showing
from supervisor.core.model import Severity, State
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.tally import DURATIONS_S, LATENESSES_S, Spread, Tally
from supervisor.core.view import Facts
from supervisor.core.world import World

BACKUP_WORKER = "backup.run"
# Our name -> its help, and what workers call it, the first one that a job says.
WELL_KNOWN = {
    "nightshift_health_score": (
        "Score of the last health check, 0 to 100.",
        ("health_score",),
    ),
    "nightshift_replication_lag_seconds": (
        "How far the replica was behind when it was last measured.",
        ("replication_lag_seconds", "lag_seconds"),
    ),
    "nightshift_disk_free_ratio": (
        "Free part of the fullest disk that the last health check looked at.",
        ("disk_free_ratio",),
    ),
}
_NOTHING: PersistentMap[str, float] = PersistentMap()
# Control characters other than a tab and a newline, and halves of surrogate pairs.
_NO_LABEL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_LONGEST_NAME = 120
MOST_SAMPLES = 400
_END = b"# EOF\n"
_COMMENT = re.compile(rb"^#.*\n", re.MULTILINE)
Encode = Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class Seen:
    """What one scrape is about."""

    world: World
    facts: Facts
    tally: Tally
    at: datetime


class _Registry:
    """A registry of one family, as far as the client's encoders ask for one."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """The family."""
        return (self._family,)


def pieces(seen: Seen, accept: str) -> tuple[Iterator[bytes], str]:
    """A scrape in the format that the reader likes best, piece by piece, and its name."""
    encode, kind = choose_encoder(accept)
    is_open = kind.startswith("application/openmetrics-text")
    return _pieces(seen, encode, _END if is_open else b""), kind


def _pieces(seen: Seen, encode: Encode, end: bytes) -> Iterator[bytes]:
    """Some samples at a time: a thousand jobs take a tenth of a second."""
    for family in _families(seen):
        for start in range(0, len(family.samples) or 1, MOST_SAMPLES):
            part = Metric(family.name, family.documentation, family.type, family.unit)
            part.samples = family.samples[start : start + MOST_SAMPLES]
            text = encode(_Registry(part)).removesuffix(end)
            yield text if start == 0 else _COMMENT.sub(b"", text)
    yield end


def _families(seen: Seen) -> Iterator[Metric]:
    yield from _service(seen)
    yield from _runs(seen)
    yield from _jobs(seen)
    yield from _workers(seen)


def _service(seen: Seen) -> Iterator[Metric]:
    world, facts = seen.world, seen.facts
    yield InfoMetricFamily("nightshift", "The supervisor.", {"version": facts.version})
    yield GaugeMetricFamily(
        "nightshift_start_time_seconds",
        "When the supervisor started, since 1970.",
        facts.started_at.timestamp(),
    )
    if facts.tick.last_at is not None:
        yield GaugeMetricFamily(
            "nightshift_last_tick_timestamp_seconds",
            "The last full minute that was acted on, since 1970.",
            facts.tick.last_at.timestamp(),
        )
    lateness = HistogramMetricFamily(
        "nightshift_tick_lateness_seconds", "How late full minutes were acted on."
    )
    lateness.add_metric([], *_buckets(LATENESSES_S, seen.tally.lateness))
    yield lateness
    gauges = {
        "pool_places": ("Attempts that may live at once.", world.config.max_concurrent),
        "pool_running": ("Attempts that live.", len(world.living)),
        "pool_pending": ("Runs that wait to begin.", world.pending()),
        "ledger_writable": ("1 if the ledger can be written.", int(not world.ledger_trouble)),
        "config_problems": ("Mistakes in the jobs.yaml on disk.", len(world.problems)),
        "alerts_undelivered": ("Alerts that still wait for delivery.", len(world.outbox)),
    }
    for name, (about, value) in gauges.items():
        yield GaugeMetricFamily(f"nightshift_{name}", about, value)
    counters = {
        "output_dropped_bytes": ("Output of jobs that was not kept.", world.output_bytes_dropped),
        "strays_killed": ("Processes found and killed after their run.", world.strays_killed),
        "keeper_deaths": ("Keepers that died under a run.", facts.keeper_deaths),
        "heartbeat_failures": ("Heartbeats that nobody took.", facts.heartbeat_failures),
        "log_lines_dropped": ("Lines of the service's log lost.", facts.log_lines_dropped),
    }
    for name, (about, value) in counters.items():
        yield CounterMetricFamily(f"nightshift_{name}", about, value)
    yield from _incidents(seen)


def _incidents(seen: Seen) -> Iterator[Metric]:
    by_severity = GaugeMetricFamily(
        "nightshift_incidents_open", "Open incidents.", labels=["severity"]
    )
    each = GaugeMetricFamily(
        "nightshift_incident_failures",
        "Failures that an open incident has counted; job is empty for the service's own.",
        labels=["job", "kind", "severity"],
    )
    found = list(seen.world.incidents.values())
    counted = Counter(incident.severity for incident in found)
    for severity in Severity:
        by_severity.add_metric([severity], counted[severity])
    for incident in found:
        each.add_metric([incident.job, incident.kind, incident.severity], incident.count)
    yield by_severity
    yield each


def _runs(seen: Seen) -> Iterator[Metric]:
    ended = CounterMetricFamily(
        "nightshift_runs", "Runs that ended, by how.", labels=["job", "state", "reason"]
    )
    for (job, state, reason), count in seen.tally.runs.items():
        ended.add_metric([job, state, reason or ""], count)
    yield ended
    lasted = HistogramMetricFamily(
        "nightshift_run_duration_seconds",
        "From the start of a run's first attempt to the end of its last.",
        labels=["job"],
    )
    for job, spread in seen.tally.durations.items():
        lasted.add_metric([job], *_buckets(DURATIONS_S, spread))
    yield lasted
    missed = CounterMetricFamily(
        "nightshift_slots_missed", "Slots that came while nobody could run them.", labels=["job"]
    )
    for job, count in seen.tally.missed.items():
        missed.add_metric([job], count)
    yield missed


def _jobs(seen: Seen) -> Iterator[Metric]:
    world = seen.world
    success = GaugeMetricFamily(
        "nightshift_job_last_success_timestamp_seconds",
        "When the newest successful run was due, since 1970.",
        labels=["job"],
    )
    failed = GaugeMetricFamily(
        "nightshift_job_last_run_failed", "1 if the newest run failed.", labels=["job"]
    )
    following = GaugeMetricFamily(
        "nightshift_job_next_slot_timestamp_seconds",
        "The next slot, since 1970; none of a job that is disabled, paused for good "
        "or without cron.",
        labels=["job"],
    )
    for job in world.jobs.values():
        if job.name in world.last_success:
            success.add_metric([job.name], world.last_success[job.name].timestamp())
        if job.name in world.last:
            failed.add_metric([job.name], int(world.last[job.name].state is State.FAILED))
        for slot in showing.coming(world, job, seen.at, 1):
            following.add_metric([job.name], slot.timestamp())
    yield success
    yield failed
    yield following


def _workers(seen: Seen) -> Iterator[Metric]:
    world = seen.world
    every = GaugeMetricFamily(
        "nightshift_worker_metric",
        "What a worker measured or counted last, by its own name.",
        labels=["job", "name"],
    )
    for job, found in world.metrics.items():
        for name, value in found.items():
            every.add_metric([job, _label(name)], value)
    yield every
    for name, (about, said) in WELL_KNOWN.items():
        known = GaugeMetricFamily(name, about, labels=["job"])
        for job, found in world.metrics.items():
            word = next((each for each in said if each in found), None)
            if word is not None:
                known.add_metric([job], found[word])
        yield known
    yield from _backups(seen)


def _backups(seen: Seen) -> Iterator[Metric]:
    world = seen.world
    age = GaugeMetricFamily(
        "nightshift_backup_age_seconds", "Age of the newest verified backup.", labels=["job"]
    )
    size = GaugeMetricFamily(
        "nightshift_backup_size_bytes", "Size of the newest verified backup.", labels=["job"]
    )
    for job in world.jobs.values():
        if job.worker == BACKUP_WORKER and job.name in world.last_success:
            made_at = world.last_success[job.name]
            age.add_metric([job.name], max(0.0, (seen.at - made_at).total_seconds()))
            size_bytes = world.metrics.get(job.name, _NOTHING).get("size_bytes")
            if size_bytes is not None:
                size.add_metric([job.name], size_bytes)
    yield age
    yield size


def _label(name: str) -> str:
    """A worker's own name as a label value: any UTF-8, and no two names the same.

    The encoder escapes what the format asks for. What could end a line or a text for
    some reader, is no UTF-8, or is too long is shown otherwise, with a digest.
    """
    if len(name) <= _LONGEST_NAME and not _NO_LABEL.search(name):
        return name
    shown = _NO_LABEL.sub(lambda match: repr(match[0])[1:-1], name)
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{shown[: _LONGEST_NAME - 9]}~{digest}"


def _buckets(bounds_s: tuple[float, ...], spread: Spread) -> tuple[list[tuple[str, float]], float]:
    """Cumulative counts by upper bound, and the sum."""
    names = [*map(str, bounds_s), "+Inf"]
    counts = [float(count) for count in accumulate(spread.counts)]
    return list(zip(names, counts, strict=True)), spread.sum_s
