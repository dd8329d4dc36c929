"""The hosts of a cluster as its leader last saw them, and what follows for placing runs.

Pure. A run goes to a host that has all labels of the job; a run that was asked for on one
host has the label of that host besides, which every host has by itself.
"""

import difflib
from collections.abc import Iterable, Iterator

from msgspec import Struct

from supervisor.core.config_model import Cluster, Job
from supervisor.core.model import Run
from supervisor.core.views import HostView

_HOST = "host:"
# A heartbeat that is older is shown as silent; no rule uses it.
SILENT_S = 15.0


class ClusterHost(Struct, frozen=True):
    """A host of the cluster. labels: all of them, sorted, with that of its name.

    is_alive: it was not declared dead. has_text: it runs the text of jobs.yaml in force.
    runs: of which it holds an attempt. seen_mono: when its heartbeat was last seen to change,
    in monotonic seconds of the leader.
    """

    name: str
    labels: tuple[str, ...]
    places: int
    is_alive: bool = True
    has_text: bool = True
    runs: tuple[int, ...] = ()
    seen_mono: float = 0.0

    @property
    def running(self) -> int:
        """Return how many attempts it holds."""
        return len(self.runs)


def label_of(host: str) -> str:
    """Return the label that a host has by itself."""
    return f"{_HOST}{host}"


def labels_for(job: Job | None, on_host: str) -> tuple[str, ...]:
    """Return the labels that a host must have to run an attempt, sorted."""
    wanted = set(() if job is None else job.runs_on)
    if on_host:
        wanted.add(label_of(on_host))
    return tuple(sorted(wanted))


def places(hosts: Iterable[ClusterHost], most: int) -> int:
    """Return the places of the hosts that are alive, at most `most`."""
    return min(most, sum(host.places for host in hosts if host.is_alive))


def why_refused(hosts: tuple[ClusterHost, ...], job: Job, name: str) -> tuple[str, str]:
    """Return why no run of a job can be asked for on a host, and a hint; "" if it can."""
    host = next((each for each in hosts if each.name == name), None)
    if host is None:
        near = difflib.get_close_matches(name, [each.name for each in hosts], 1)
        hint = f'did you mean "{near[0]}"?' if near else "nightshift cluster status shows them"
        return f'no host is called "{name}"; hosts: {names(hosts)}', hint
    missing = sorted(set(job.runs_on) - set(host.labels))
    if not missing:
        return "", ""
    fitting = [each for each in hosts if set(job.runs_on) <= set(each.labels)]
    asked = f"{job.name} has runs_on {' and '.join(job.runs_on)}"
    word = "label" if len(missing) == 1 else "labels"
    hint = f"hosts that have: {names(fitting)}" if fitting else "no host has"
    return f"{name} has no {word} {' and '.join(missing)}: {asked}", hint


def why_waiting(hosts: tuple[ClusterHost, ...], run: Run, job: Job) -> str:
    """Return what an attempt waits for that no host has taken yet."""
    if not run.on_host:
        return f"waits for {in_words(job.runs_on)}"
    host = next((each for each in hosts if each.name == run.on_host), None)
    said = f"waits for host {run.on_host}, which was asked for"
    if host is None and hosts:
        return f"{said}; no host {run.on_host} is known; hosts: {names(hosts)}"
    if host is not None and not host.is_alive:
        return f"{said} and is away"
    return said


def in_words(labels: Iterable[str]) -> str:
    """Return which host has these labels: `a host with db and ssd`, or `host b`."""
    given = tuple(labels)
    named = [label.removeprefix(_HOST) for label in given if label.startswith(_HOST)]
    rest = [label for label in given if not label.startswith(_HOST)]
    host = f"host {' and '.join(named)}" if named else "a host"
    return f"{host} with {' and '.join(rest)}" if rest else host


def state_of(age_s: float | None) -> str:
    """Return the state of a host by the age of its heartbeat. age_s None: it has none."""
    if age_s is None:
        return "lost"
    return "silent" if age_s > SILENT_S else "alive"


def views(
    hosts: Iterable[ClusterHost], cluster: Cluster | None, mono: float
) -> Iterator[HostView]:
    """Yield hosts for people, by name. cluster: of the leader; mono: its clock, in seconds."""
    leader = None if cluster is None else cluster.host
    for host in sorted(hosts, key=lambda each: each.name):
        age_s = max(0.0, mono - host.seen_mono) if host.is_alive else None
        yield HostView(
            host.name,
            state_of(age_s),
            host.name == leader,
            host.has_text,
            host.labels,
            host.runs,
            host.places,
            None if age_s is None else round(age_s, 1),
        )


def names(hosts: Iterable[ClusterHost]) -> str:
    """Return the names of hosts, with commas."""
    return ", ".join(each.name for each in hosts)
