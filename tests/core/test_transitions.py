"""The table of all state changes of a run: each of them happens, and the page shows it.

`Harness` and `RandomService` check in each turn of each test that no other change happens.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from supervisor.core import control_requests as req
from supervisor.core import events as ev
from supervisor.core import tick
from supervisor.core.config_model import CatchUp, IfLost, Overlap
from supervisor.core.model import OPEN, Reason, State, replace
from supervisor.core.transitions import ATTEMPT_EVENTS, ENDED, TRANSITIONS, Admission, Cause
from tests.core.cluster_events import Leader, assignment
from tests.core.core_harness import Harness, job
from tests.core.state_changes import LISTED, Change

ROOT = Path(__file__).parents[2]
Story = Callable[[], Harness]

HOURLY = job("a", cron="0 * * * *")
RETRIED = replace(HOURLY, retries=1, retry_delay_s=600)
REPLACED = job("a", cron="*/2 * * * *", overlap=Overlap.REPLACE, retries=1, retry_delay_s=600)
DISABLED = replace(HOURLY, enabled=False)
HOURLY_B = replace(HOURLY, name="b")
HOG = job("hog", cron="1 * * * *")
AFTER = job("b", cron="30 * * * *", deps=["a"])


def begun(definition=HOURLY, *others):
    """Return a service whose scheduled run of job a has begun."""
    harness = Harness(definition, *others)
    harness.at("01:00")
    return harness


def manual(**fields):
    """Return a service with one place, which a requested run of job a has taken."""
    harness = Harness(job("a", **fields), job("hog"), max_concurrent=1)
    harness.asks(req.RunJobs(("a",)))
    return harness


def waiting():
    """Return a service where a scheduled run of job a waits for a place."""
    harness = Harness(HOG, REPLACED, max_concurrent=1)
    harness.at("00:02")
    return harness


def retrying():
    harness = begun(RETRIED)
    harness.ends("a", status=1)
    return harness


def retrying_often():
    harness = Harness(REPLACED)
    harness.at("00:02")
    harness.ends("a", status=1)
    return harness


def manual_retrying():
    harness = manual(retries=1, retry_delay_s=5)
    harness.ends("a", status=1)
    return harness


def manual_waiting_again():
    harness = manual_retrying()
    harness.asks(req.RunJobs(("hog",)))
    harness.after(seconds=6)
    return harness


def stopping():
    harness = manual()
    harness.send(ev.StopAsked(harness.clocks()))
    return harness


def timed_out(retries):
    harness = begun(replace(RETRIED, cron=("0 1 * * *",), timeout_s=60.0, retries=retries))
    harness.after(seconds=61)
    return harness


def cancelled(harness):
    harness.asks(req.CancelJob("a"))
    return harness


def later(harness, **length):
    harness.after(**length)
    return harness


def restarted(harness, *jobs):
    harness.dies()
    harness.starts("05:30", *jobs)
    return harness


def reloaded(harness, *jobs):
    harness.reloads(*jobs)
    return harness


def asleep():
    harness = Harness(HOURLY)
    harness.sleeps_until("05:30")
    return harness


def crowded(**asleep):
    """Return a service with more due slots than one turn opens, resumed with --from-now."""
    harness = Harness(
        *(replace(HOURLY, name=f"a{n}") for n in range(tick.CHUNK)), DISABLED, HOURLY_B
    )
    harness.at("01:00")
    harness.wall += timedelta(**asleep)
    harness.asks(req.ResumeJob("", from_now=True))
    return harness


def after_a_failure():
    harness = begun(HOURLY, AFTER)
    harness.ends("a", status=1)
    return later(harness, minutes=30)


def succeeded():
    harness = begun()
    harness.ends("a")
    return harness


def unrecorded():
    harness = Harness(HOURLY)
    harness.at("00:59:59")
    harness.breaks_ledger()
    return later(harness, seconds=1)


def broken(harness):
    harness.send(ev.InternalError(harness.clocks(), "a rule", "boom", harness.run("a").id))
    return harness


# The first event about the end of job a's process.
NEWS: dict[Cause, Callable[[Harness], None]] = {
    ev.Exited: lambda harness: harness.exits("a", status=1),
    ev.TreeEmpty: lambda harness: harness.empties("a"),
    ev.LaunchFailed: lambda harness: harness.cannot_launch("a"),
    ev.KeeperLost: lambda harness: harness.loses("a"),
    ev.Survived: lambda harness: harness.survives("a", "7 sleep"),
    ev.TimePassed: lambda harness: harness.after(minutes=1),
}


def ended(make: Story, cause: Cause) -> Story:
    def story():
        harness = make()
        NEWS[cause](harness)
        return harness

    return story


ONCE = replace(HOURLY, if_lost=IfLost.NEVER)


def led(definition=RETRIED):
    """Return a leader whose attempt of job a runs on a host."""
    leader = Leader(definition)
    leader.at("01:00")
    return leader


def judged(state, reason=None, definition=RETRIED):
    leader = led(definition)
    leader.judges("a", state, reason)
    return leader


def lost(leader):
    leader.loses_host("a")
    return leader


def taken_back(leader):
    leader.takes_back("a")
    return leader


def judged_cancelled():
    leader = cancelled(led())
    leader.judges("a", State.CANCELLED, Reason.PERSON)
    return leader


def replaced_leader():
    """Return a leader that finds a recorded attempt that was never handed out."""
    leader = led()
    leader.is_replaced("01:00:20", loses=True)
    return leader


def cut_off():
    """Return a host past its fence, where an assigned run waits for a place."""
    harness = Harness(job("a"), job("hog"), max_concurrent=1)
    harness.asks(req.RunJobs(("hog",)))
    harness.asks(req.ConfirmHost(5, 1))
    harness.asks(assignment(harness))
    return later(harness, seconds=6)


CLUSTER_STORIES: dict[Change, Story] = {
    (State.RUNNING, ev.Judged, State.SUCCESS): lambda: judged(State.SUCCESS),
    (State.RUNNING, ev.Judged, State.RETRYING): lambda: judged(State.FAILED, Reason.EXIT),
    (State.RUNNING, ev.Judged, State.FAILED): lambda: judged(State.FAILED, Reason.EXIT, HOURLY),
    (State.RUNNING, ev.Judged, State.CANCELLED): judged_cancelled,
    (State.RUNNING, ev.Judged, State.INTERRUPTED): lambda: judged(
        State.INTERRUPTED, Reason.LOST, ONCE
    ),
    (State.RUNNING, ev.HostLost, State.RETRYING): lambda: lost(led()),
    (State.RUNNING, ev.HostLost, State.INTERRUPTED): lambda: lost(led(ONCE)),
    (State.RUNNING, ev.HostLost, State.CANCELLED): lambda: lost(cancelled(led())),
    (State.RUNNING, ev.NotBegun, State.CANCELLED): lambda: taken_back(cancelled(led())),
    (State.RUNNING, ev.NotBegun, State.PENDING): lambda: taken_back(led()),
    (State.RUNNING, ev.Restored, State.PENDING): replaced_leader,
    (State.PENDING, ev.TimePassed, State.INTERRUPTED): cut_off,
}

UNCAUGHT = replace(REPLACED, catch_up=CatchUp.NONE)

STORIES: dict[Change, Story] = {
    **CLUSTER_STORIES,
    (None, ev.TimePassed, State.PENDING): begun,
    (None, ev.TimePassed, State.SKIPPED): lambda: later(begun(), hours=1),
    (None, ev.TimePassed, State.MISSED): asleep,
    (None, ev.Restored, State.PENDING): lambda: restarted(Harness(HOURLY)),
    (None, ev.Restored, State.SKIPPED): lambda: restarted(Harness(HOURLY), DISABLED),
    (None, ev.Restored, State.MISSED): lambda: restarted(Harness(HOURLY)),
    (None, ev.Requested, State.PENDING): manual,
    (None, ev.Requested, State.SKIPPED): crowded,
    (None, ev.Requested, State.MISSED): lambda: crowded(hours=3),
    (State.PENDING, Admission, State.RUNNING): begun,
    (State.PENDING, Admission, State.SKIPPED): after_a_failure,
    (State.PENDING, ev.TimePassed, State.CANCELLED): lambda: later(waiting(), minutes=2),
    (State.PENDING, ev.Requested, State.CANCELLED): lambda: cancelled(waiting()),
    (State.PENDING, ev.Reloaded, State.CANCELLED): lambda: reloaded(waiting(), HOG),
    (State.PENDING, ev.Restored, State.CANCELLED): lambda: restarted(waiting(), HOG),
    (State.PENDING, ev.Restored, State.MISSED): lambda: restarted(waiting(), HOG, UNCAUGHT),
    (State.PENDING, ev.Restored, State.INTERRUPTED): lambda: restarted(manual_waiting_again()),
    (State.PENDING, ev.InternalError, State.FAILED): lambda: broken(waiting()),
    (State.RUNNING, ev.Exited, State.SUCCESS): succeeded,
    (State.RUNNING, ev.Restored, State.RETRYING): lambda: restarted(begun()),
    (State.RUNNING, ev.Restored, State.CANCELLED): lambda: restarted(begun(), HOG),
    (State.RUNNING, ev.Restored, State.INTERRUPTED): lambda: restarted(manual()),
    (State.RUNNING, ev.LedgerWriteFailed, State.PENDING): unrecorded,
    (State.RUNNING, ev.InternalError, State.FAILED): lambda: broken(begun()),
    (State.RETRYING, ev.TimePassed, State.PENDING): lambda: later(retrying(), minutes=11),
    (State.RETRYING, ev.TimePassed, State.CANCELLED): lambda: later(retrying_often(), minutes=2),
    (State.RETRYING, ev.Requested, State.CANCELLED): lambda: cancelled(retrying()),
    (State.RETRYING, ev.Reloaded, State.CANCELLED): lambda: reloaded(retrying(), HOG),
    (State.RETRYING, ev.Restored, State.CANCELLED): lambda: restarted(retrying(), HOG),
    (State.RETRYING, ev.Restored, State.INTERRUPTED): lambda: restarted(manual_retrying()),
    (State.RETRYING, ev.InternalError, State.FAILED): lambda: broken(retrying()),
}
for _cause in ENDED:
    STORIES |= {
        (State.RUNNING, _cause, State.RETRYING): ended(lambda: timed_out(retries=1), _cause),
        (State.RUNNING, _cause, State.FAILED): ended(lambda: timed_out(retries=0), _cause),
        (State.RUNNING, _cause, State.CANCELLED): ended(lambda: cancelled(begun()), _cause),
    }
for _cause in ATTEMPT_EVENTS:
    STORIES[State.RUNNING, _cause, State.INTERRUPTED] = ended(stopping, _cause)


def in_words(change: Change) -> str:
    before, cause, after = change
    return f"{before}-{cause.__name__}-{after}"


@pytest.mark.parametrize("change", sorted(LISTED, key=in_words), ids=in_words)
def test_each_change_of_the_table_happens(change):
    assert change in STORIES[change]().changes


def test_no_sequence_makes_a_change_that_is_not_in_the_table():
    assert set(STORIES) == LISTED


def test_each_change_is_listed_once():
    assert sum(len(row.causes) for row in TRANSITIONS) == len(LISTED)


def test_each_open_state_can_end_and_a_final_one_never_changes():
    assert {row.before for row in TRANSITIONS} == {None, *OPEN}
    assert {row.after for row in TRANSITIONS} == set(State)


def test_what_admission_does_is_done_by_nothing_else():
    admitted = {(row.before, row.after) for row in TRANSITIONS if Admission in row.causes}
    others = {(row.before, row.after) for row in TRANSITIONS if Admission not in row.causes}

    assert not admitted & others


def test_the_page_shows_the_table():
    made = subprocess.run(
        [sys.executable, ROOT / "scripts" / "run-states"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    page = (ROOT / "docs" / "architecture.md").read_text()
    shown = re.findall(r"^```mermaid\n.*?^```\n", page, flags=re.M | re.S)

    assert shown == [made.stdout], "write the output of scripts/run-states to the page"
