"""Alerts with their details, and a function that sends one as the child process does."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from supervisor.core import schedule
from supervisor.core.alert_model import Alert
from supervisor.core.config_model import Job, Severity
from supervisor.core.model import Run, State, Trigger
from supervisor.notifications.alert_text import AlertContext
from supervisor.notifications.call_result import CallResult
from supervisor.notifications.channel_kind import Message, Target
from supervisor.notifications.channels import kind_of
from supervisor.notifications.child.http_call import call
from workers.http_session import Session

AT = datetime(2026, 2, 9, 2, 0, tzinfo=UTC)
ALERT = Alert(
    7, 3, "opened", Severity.ERROR, "backup", "exit", "exit status 2", 1, 41, AT,
)  # fmt: skip
RUN = Run(
    41, "backup", AT, Trigger.SCHEDULE, State.FAILED,
    attempt=3, started_at=AT, ended_at=AT + timedelta(seconds=95),
)  # fmt: skip
JOB = Job("backup", 0, argv=("x",), description="copies the shop", docs="https://wiki/backup")
# What a job may print to attack a channel: its markup, mentions, control characters.
HOSTILE = "<!channel> @everyone *b* `c` ``` & _d_ </pre><b> \x1b[31m\x00 [x](http://y) 🔴 \udcff"


def about(alert: Alert = ALERT, **fields: Any) -> AlertContext:
    """Return an alert with its run and job."""
    given: dict[str, Any] = {
        "zone": schedule.zone("Europe/Berlin"),
        "host": "box",
        "service": "nightshift-01",
    }
    given |= {"run": RUN, "job": JOB}
    return AlertContext(alert, **{**given, **fields})


def send(kind: str, url: str, message: Message, **settings: Any) -> CallResult:
    """Send a message as `child/send_alerts.py` does."""
    with Session() as session:
        to = Target(url, settings)
        return kind_of(kind).send(to, message, partial(call, session, "POST"))
