"""Prometheus metrics of the published state.

A pure function: a `Snapshot` in, text out. Counting is done in `core/counters.py`.
Of the client library only the metric families and encoders are used, with a
registry per family. The number of label values is bounded: jobs of the file and
reserved ones, closed lists, and metric names of workers, which the core limits per job.
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

from supervisor.api.cluster_metrics import cluster_families
from supervisor.core import build_views
from supervisor.core.config_model import Severity
from supervisor.core.counters import DURATIONS_S, LATENESSES_S, Counters, Histogram
from supervisor.core.model import State
from supervisor.core.outbox import Outbox
from supervisor.core.persistent_map import PersistentMap
from supervisor.core.state import SchedulerState
from supervisor.core.views import Facts

BACKUP_WORKER = "backup.run"
# Metric name -> its help text, and the workers' names for it; the first one present counts.
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
# Control characters other than tab and newline, and lone surrogates.
_NO_LABEL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_LONGEST_NAME = 120
MOST_SAMPLES = 400
_END = b"# EOF\n"
_COMMENT = re.compile(rb"^#.*\n", re.MULTILINE)
Encode = Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The input of one scrape.

    resident_bytes: memory of this process, None if unknown. mono: the monotonic clock.
    """

    scheduler: SchedulerState
    facts: Facts
    tally: Counters
    at: datetime
    resident_bytes: int | None = None
    mono: float = 0.0


class _Registry:
    """A registry of one family, with the only method that the client's encoders call."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """Return the family."""
        return (self._family,)


def pieces(seen: Snapshot, accept: str) -> tuple[Iterator[bytes], str]:
    """Return the scrape in pieces and its content type, chosen by the Accept header."""
    encode, kind = choose_encoder(accept)
    is_open = kind.startswith("application/openmetrics-text")
    return _pieces(seen, encode, _END if is_open else b""), kind


def _pieces(seen: Snapshot, encode: Encode, end: bytes) -> Iterator[bytes]:
    """Yield at most `MOST_SAMPLES` samples at a time: 1000 jobs take 0.1 s to encode."""
    for family in families(seen):
        for start in range(0, len(family.samples) or 1, MOST_SAMPLES):
            part = Metric(family.name, family.documentation, family.type, family.unit)
            part.samples = family.samples[start : start + MOST_SAMPLES]
            text = encode(_Registry(part)).removesuffix(end)
            yield text if start == 0 else _COMMENT.sub(b"", text)
    yield end


def families(seen: Snapshot) -> Iterator[Metric]:
    """Yield the metric families in the order of the scrape, also those without samples."""
    yield from _service(seen)
    yield from _runs(seen)
    yield from _jobs(seen)
    yield from _workers(seen)
    yield from cluster_families(seen.scheduler, seen.mono)


def _service(seen: Snapshot) -> Iterator[Metric]:
    scheduler, facts = seen.scheduler, seen.facts
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
    waiting = sum(len(box.waiting) for box in scheduler.outboxes.values())
    gauges = {
        "pool_places": (
            "Limit of attempts that run at once.",
            build_views.places(scheduler),
        ),
        "pool_running": ("Attempts that are running.", len(scheduler.live_attempts)),
        "pool_pending": ("Runs that wait to begin.", scheduler.pending()),
        "ledger_writable": ("1 if the ledger can be written.", int(not scheduler.ledger_error)),
        "config_problems": ("Mistakes in the jobs.yaml on disk.", len(scheduler.problems)),
        "alerts_undelivered": ("Alerts that still wait for delivery.", waiting),
    }
    for name, (about, value) in gauges.items():
        yield GaugeMetricFamily(f"nightshift_{name}", about, value)
    counters = {
        "output_dropped_bytes": (
            "Output of jobs that was not kept.",
            scheduler.output_bytes_dropped,
        ),
        "strays_killed": ("Processes found and killed after their run.", scheduler.strays_killed),
        "keeper_deaths": ("Keepers that died under a run.", facts.keeper_deaths),
        "heartbeat_failures": ("Heartbeats that were not accepted.", facts.heartbeat_failures),
        "log_lines_dropped": ("Lines of the service's log lost.", facts.log_lines_dropped),
    }
    for name, (about, value) in counters.items():
        yield CounterMetricFamily(f"nightshift_{name}", about, value)
    memory = GaugeMetricFamily(
        "nightshift_resident_memory_bytes", "Memory of the supervisor's own process."
    )
    if seen.resident_bytes is not None:
        memory.add_metric([], seen.resident_bytes)
    yield memory
    yield from _incidents(seen)
    yield from _channels(seen)


def _channels(seen: Snapshot) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "nightshift_channel_alerts_pending", "Alerts that wait for a channel.", labels=["channel"]
    )
    failures = GaugeMetricFamily(
        "nightshift_channel_failures",
        "Failed deliveries in a row of the oldest alert that waits for a channel.",
        labels=["channel"],
    )
    for channel in seen.scheduler.config.notify.channels:
        box = seen.scheduler.outboxes.get(channel.name, Outbox())
        waiting.add_metric([channel.name], len(box.waiting))
        failures.add_metric([channel.name], box.waiting[0].attempts if box.waiting else 0)
    yield waiting
    yield failures


def _incidents(seen: Snapshot) -> Iterator[Metric]:
    by_severity = GaugeMetricFamily(
        "nightshift_incidents_open", "Open incidents.", labels=["severity"]
    )
    each = GaugeMetricFamily(
        "nightshift_incident_failures",
        "Failures that an open incident has counted; job is empty for the service's own.",
        labels=["job", "kind", "severity"],
    )
    found = list(seen.scheduler.incidents.values())
    counted = Counter(incident.severity for incident in found)
    for severity in Severity:
        by_severity.add_metric([severity], counted[severity])
    for incident in found:
        each.add_metric([incident.job, incident.kind, incident.severity], incident.count)
    yield by_severity
    yield each


def _runs(seen: Snapshot) -> Iterator[Metric]:
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
        "nightshift_slots_missed", "Slots that came while no supervisor ran.", labels=["job"]
    )
    for job, count in seen.tally.missed.items():
        missed.add_metric([job], count)
    yield missed


def _jobs(seen: Snapshot) -> Iterator[Metric]:
    scheduler = seen.scheduler
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
    for job in scheduler.jobs.values():
        if job.name in scheduler.last_success:
            success.add_metric([job.name], scheduler.last_success[job.name].timestamp())
        if job.name in scheduler.last_run:
            failed.add_metric([job.name], int(scheduler.last_run[job.name].state is State.FAILED))
        for slot in build_views.next_slots(scheduler, job, seen.at, 1):
            following.add_metric([job.name], slot.timestamp())
    yield success
    yield failed
    yield following


def _workers(seen: Snapshot) -> Iterator[Metric]:
    scheduler = seen.scheduler
    every = GaugeMetricFamily(
        "nightshift_worker_metric",
        "What a worker measured or counted last, by its own name.",
        labels=["job", "name"],
    )
    for job, found in scheduler.metrics.items():
        for name, value in found.items():
            every.add_metric([job, _label(name)], value)
    yield every
    for name, (about, said) in WELL_KNOWN.items():
        known = GaugeMetricFamily(name, about, labels=["job"])
        for job, found in scheduler.metrics.items():
            word = next((each for each in said if each in found), None)
            if word is not None:
                known.add_metric([job], found[word])
        yield known
    yield from _backups(seen)


def _backups(seen: Snapshot) -> Iterator[Metric]:
    scheduler = seen.scheduler
    age = GaugeMetricFamily(
        "nightshift_backup_age_seconds", "Age of the newest verified backup.", labels=["job"]
    )
    size = GaugeMetricFamily(
        "nightshift_backup_size_bytes", "Size of the newest verified backup.", labels=["job"]
    )
    for job in scheduler.jobs.values():
        if job.worker == BACKUP_WORKER and job.name in scheduler.last_success:
            made_at = scheduler.last_success[job.name]
            age.add_metric([job.name], max(0.0, (seen.at - made_at).total_seconds()))
            size_bytes = scheduler.metrics.get(job.name, _NOTHING).get("size_bytes")
            if size_bytes is not None:
                size.add_metric([job.name], size_bytes)
    yield age
    yield size


def _label(name: str) -> str:
    """Return a worker's metric name as a label value: valid UTF-8, and unique per name.

    The encoder escapes what the format requires. Names with control characters or
    surrogates, and names that are too long, are rewritten and get a digest as suffix.
    """
    if len(name) <= _LONGEST_NAME and not _NO_LABEL.search(name):
        return name
    shown = _NO_LABEL.sub(lambda match: repr(match[0])[1:-1], name)
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{shown[: _LONGEST_NAME - 9]}~{digest}"


def _buckets(
    bounds_s: tuple[float, ...], spread: Histogram
) -> tuple[list[tuple[str, float]], float]:
    """Return the cumulative counts by upper bound, and the sum."""
    names = [*map(str, bounds_s), "+Inf"]
    counts = [float(count) for count in accumulate(spread.counts)]
    return list(zip(names, counts, strict=True)), spread.sum_s
