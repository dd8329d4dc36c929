"""A service whose failures are alerts, for the tests of what is sent."""

from typing import Any

from supervisor.core.config_model import Job, Notify
from tests.channels import notify_slack
from tests.core.core_harness import Harness, job

SLACK = notify_slack("http://127.0.0.1/slack")
A = job("a", cron="0 2,3,4,5 * * *")
B = job("b", cron="0 2 * * *")
EVERY_MINUTE = job("a", cron="* * * * *")


def harness_of(*jobs: Job, notify: Notify = SLACK, **settings: Any) -> Harness:
    """Return a service with these jobs and one channel."""
    return Harness(*jobs, notify=notify, **settings)


def fails_at(harness: Harness, text: str, *names: str) -> None:
    """Let the runs of this time fail: those of `a`, unless jobs are named."""
    harness.at(text)
    for name in names or ("a",):
        harness.ends(name, status=1)


def sent(harness: Harness) -> list[str]:
    """Return `a opened`: job and word of all delivered alerts, in order."""
    return [f"{each.job} {each.word}" for each in harness.arrived]
