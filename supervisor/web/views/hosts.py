"""The hosts of a cluster: which of them may run a job, what each runs, and what waits for one."""

from collections.abc import Iterable, Mapping, Sequence

from supervisor.core.model import State
from supervisor.core.views import HostView, RunView


def fitting(hosts: Iterable[HostView], labels: Sequence[str]) -> tuple[HostView, ...]:
    """Return the hosts that have these labels. labels: what `runs_on` of a job asks for."""
    return tuple(host for host in hosts if set(labels) <= set(host.labels))


def host_of(hosts: Iterable[HostView], run: int) -> str:
    """Return which host has an attempt of an open run; "" if none has."""
    return next((host.name for host in hosts if run in host.runs), "")


def on_hosts(
    hosts: Iterable[HostView], runs: Iterable[RunView]
) -> Mapping[str, tuple[RunView, ...]]:
    """Return the open runs by the host that has an attempt of them."""
    known = {run.id: run for run in runs}
    return {
        host.name: tuple(known[number] for number in host.runs if number in known)
        for host in hosts
    }


def waiting(hosts: Iterable[HostView], runs: Iterable[RunView]) -> tuple[RunView, ...]:
    """Return the runs of which an attempt waits for a host."""
    taken = {number for host in hosts for number in host.runs}
    return tuple(run for run in runs if run.state == State.RUNNING and run.id not in taken)
