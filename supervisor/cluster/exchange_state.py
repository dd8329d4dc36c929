"""What an exchange of the leader keeps and makes: assignments, and events of reports."""

from dataclasses import dataclass, field

import msgspec

from supervisor.cluster.messages import Ended
from supervisor.core import events as ev
from supervisor.core.model import State

Pair = tuple[int, int]  # run, attempt


@dataclass(frozen=True, slots=True)
class Given:
    """An assignment that has not ended.

    waits: for its host, if that is lost. begun: a host has said so.
    """

    fence: int
    labels: tuple[str, ...]
    waits: bool
    since_mono: float
    begun: bool = False


@dataclass(slots=True)
class Done:
    """What an exchange has done, taken over when it is committed."""

    given: dict[Pair, Given] = field(default_factory=dict)
    ended: list[Pair] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    events: list[ev.Event] = field(default_factory=list)
    wakes: set[str] = field(default_factory=set)


def judged(report: Ended, at: ev.At) -> ev.Event:
    """Return the event of an attempt's end: its verdict, or that it was not begun."""
    if not report.is_begun:
        return ev.NotBegun(at, report.run, report.attempt)
    problem = ""
    if report.state is State.SUCCESS and report.result_json is not None:
        said = msgspec.json.decode(report.result_json).get("problem")
        problem = said if isinstance(said, str) else ""
    return ev.Judged(
        at,
        report.run,
        report.attempt,
        report.host,
        report.state,
        report.reason,
        report.cause,
        report.exit_status,
        problem,
        report.incident,
        report.result_json,
        report.strays,
        report.cpu_s,
        report.max_rss_bytes,
        report.log_bytes,
    )
