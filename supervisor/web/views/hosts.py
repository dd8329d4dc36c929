"""The hosts of a cluster: which of them may run a job, and what waits for one."""

from collections.abc import Iterable, Sequence

from supervisor.core.model import State
from supervisor.core.views import HostView, RunView


def fitting(hosts: Iterable[HostView], labels: Sequence[str]) -> tuple[HostView, ...]:
    """Return the hosts that have these labels. labels: what `runs_on` of a job asks for."""
    return tuple(host for host in hosts if set(labels) <= set(host.labels))


def running(runs: Iterable[RunView]) -> tuple[RunView, ...]:
    """Return the runs of which a host has taken an attempt."""
    return tuple(run for run in runs if run.state == State.RUNNING and run.pid is not None)


def waiting(runs: Iterable[RunView]) -> tuple[RunView, ...]:
    """Return the runs of which an attempt waits for a host."""
    return tuple(run for run in runs if run.state == State.RUNNING and run.pid is None)
