"""What an alert says, whatever the channel: its title, its facts, what to type next.

Pure. `visible` masks a text and makes it printable; a channel passes every text through
it before it escapes or cuts, because both could hide a secret from the mask.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from supervisor.core import incidents
from supervisor.core.alert_model import Alert
from supervisor.core.config_model import Job, Severity
from supervisor.core.incidents import AlertKind
from supervisor.core.model import Run
from workers.text import readable
from workers.units import format_count, format_duration

Mask = Callable[[str], str]

# Escape sequences of terminals (colours, cursor movements), then invisible characters.
_TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

LAST_LINES = 12
_OUTPUT = "\n\nLast lines of its output:\n"
_SIGNS = {"critical": "🚨", "error": "🔴", "warning": "🟠", "info": "🔵"}
_SIGNS_OF_WORDS: dict[str, str] = {AlertKind.RECOVERED: "🟢", AlertKind.SUMMARY: "📋"}
# Titles of incidents other than failed runs.
_TITLES = {
    incidents.LATE: "{job} is late",
    incidents.MISSED: "{job} missed a slot",
    incidents.RELOAD: "jobs.yaml was refused",
    incidents.UNKILLABLE: "{job} left processes that cannot be killed",
    incidents.CLOCK: "the clock went back",
    incidents.LEDGER: "the ledger has a problem",
    incidents.DAMAGE: "the ledger was damaged",
    incidents.INTERNAL: "internal error of nightshift ({job})",
}
_NEXT = {
    incidents.LATE: ("nightshift explain {job}", "nightshift run {job}"),
    incidents.MISSED: ("nightshift explain {job}", "nightshift run {job}"),
    incidents.RELOAD: ("nightshift check", "nightshift reload"),
    incidents.UNKILLABLE: ("nightshift show {job}", "nightshift status"),
    incidents.CLOCK: ("nightshift status", "nightshift resume --from-now"),
    incidents.LEDGER: ("nightshift status", "df -h"),
    incidents.DAMAGE: ("nightshift incidents", "dmesg"),
    incidents.INTERNAL: ("nightshift incidents", "nightshift status"),
}


class AlertContext(Struct, frozen=True):
    """An alert and its details; None: unknown.

    output: the newest lines of the run's output. host: where the service runs.
    service: a name of the service that outlives a change of host, such as a new container.
    summary: the facts of a summary; empty for other alerts.
    """

    alert: Alert
    zone: ZoneInfo
    host: str
    service: str = ""
    run: Run | None = None
    job: Job | None = None
    last_success: datetime | None = None
    output: tuple[str, ...] = ()
    summary: tuple[tuple[str, str], ...] = ()

    @property
    def message_id(self) -> str:
        """Return a name of this message that is the same in each attempt to send it.

        A new ledger counts from 1 again, so the number alone would not be enough.
        """
        return f"{self.service}-{self.alert.id}-{self.alert.at:%Y%m%dT%H%M%SZ}"

    @property
    def key(self) -> str:
        """Return a name that all alerts of a problem share, from opened to recovered.

        Of a job and a kind one incident at most is open.
        """
        return f"{self.service}/{self.alert.job}/{self.alert.kind}"


def facts(about: AlertContext) -> Iterator[tuple[str, str]]:
    """Yield the details as pairs of a name and a text, most important first."""
    alert, run = about.alert, about.run
    if alert.word == AlertKind.SUMMARY:
        yield from about.summary
        return
    yield "Severity", alert.severity
    yield "Since" if alert.word == AlertKind.OPENED else "At", moment(alert.at, about.zone)
    if run is not None:
        yield "State", str(run.state)
        yield "Run", f"{run.id}, attempt {run.attempt}, due {moment(run.due, about.zone)}"
        if run.started_at is not None and run.ended_at is not None:
            took_s = (run.ended_at - run.started_at).total_seconds()
            yield "Duration", duration(took_s)
    if alert.count > 1 or alert.word == AlertKind.RECOVERED:
        yield "Failed", "once" if alert.count == 1 else f"{alert.count} times"
    if alert.word != AlertKind.OPENED:
        yield "Lasted", duration(alert.lasted_s)
    if alert.job and alert.word != AlertKind.RECOVERED:
        known = about.last_success
        yield "Last success", "none known" if known is None else moment(known, about.zone)
    if alert.folded:
        yield (
            "Stands for",
            f"{format_count(alert.folded, 'earlier alert')}, kept back while none was delivered",
        )


def title(alert: Alert) -> str:
    """Return what happened, in a few words."""
    if alert.word == AlertKind.SUMMARY:
        return f"summary of {duration(round(alert.lasted_s))}"
    what = _TITLES.get(alert.kind, "{job} failed").format(job=alert.job or "the service")
    if alert.word == AlertKind.RECOVERED:
        lasted = duration(alert.lasted_s)
        times = f", {alert.count} times" if alert.count > 1 else ""
        return f"over after {lasted}: {what}{times}"
    if alert.word == AlertKind.REMINDER:
        return f"still, {format_count(alert.count, 'time')}: {what}"
    return what


def headline(alert: Alert) -> str:
    """Return the title and the cause in one line."""
    said = f"{sign(alert)} {title(alert)}"
    return f"{said}: {alert.cause}" if has_cause(alert) else said


def has_cause(alert: Alert) -> bool:
    """Return whether something failed that has a cause."""
    return alert.word not in (AlertKind.RECOVERED, AlertKind.SUMMARY)


def lines(about: AlertContext, mask: Mask, most: int) -> str:
    """Return all that is known about the alert as plain text of at most `most` characters.

    The output of the run comes last, and of it the newest lines that fit.
    """
    alert = about.alert
    parts = [f"Cause: {alert.cause}"] if has_cause(alert) else []
    parts += [f"{name}: {text}" for name, text in facts(about)]
    if about.job is not None:
        parts += filter(None, (about.job.description, about.job.docs))
    parts += [f"Next: {command}" for command in commands(alert)]
    parts.append(origin(about))
    text = cut(visible("\n".join(parts), mask), most)
    output = newest_lines(about, mask, most - len(text) - len(_OUTPUT))
    return f"{text}{_OUTPUT}{output}" if output else text


def newest_lines(about: AlertContext, mask: Mask, most: int) -> str:
    """Return the newest lines of the output that fit, masked together; "" of a recovery."""
    if about.alert.word == AlertKind.RECOVERED or most <= 0:
        return ""
    # A secret may span lines.
    text = visible("\n".join(about.output), mask)
    kept = "\n".join(text.splitlines()[-LAST_LINES:])
    return kept if len(kept) <= most else "…" + kept[1 - most :]


def cut(text: str, most: int) -> str:
    """Return the text, shortened to `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def test_line(host: str) -> str:
    """Return the text of a test alert."""
    return f"🔵 test alert of nightshift on {host}: alerts arrive here"


def sign(alert: Alert) -> str:
    """Return the emoji of the severity, or of a recovery."""
    return _SIGNS_OF_WORDS.get(alert.word) or _SIGNS[alert.severity]


def origin(about: AlertContext) -> str:
    """Return which service speaks, and of which incident."""
    incident = about.alert.incident
    return f"nightshift on {about.host}" + (f", incident {incident}" if incident else "")


def commands(alert: Alert) -> list[str]:
    """Return the commands to type next."""
    if alert.word == AlertKind.RECOVERED:
        return []
    if alert.word == AlertKind.SUMMARY:
        return ["nightshift status", "nightshift history --state failed"]
    if alert.kind == incidents.CLOCK and alert.severity is Severity.WARNING:
        return ["nightshift status"]  # it resolves by itself, and no slot needs to be repeated
    of_a_failure = ("nightshift logs {run}", "nightshift run {job}")
    wanted = (*_NEXT.get(alert.kind, of_a_failure), "nightshift incidents ack {incident} --for 1d")
    names = {"job": alert.job, "run": alert.run, "incident": alert.incident}
    return [command.format(**names).rstrip() for command in wanted]


def visible(text: str, mask: Mask) -> str:
    """Return the text masked, without escape sequences and control characters."""
    masked = readable(mask(text))
    return _CONTROL.sub(" ", _TERMINAL.sub("", masked.replace("\r\n", "\n")))


def moment(at: datetime, zone: ZoneInfo) -> str:
    """Return an instant in a time zone, to the second."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def duration(seconds: float) -> str:
    """Return a duration in words; a negative one counts as none."""
    # Clamp: the difference is negative if the clock was set back.
    return format_duration(max(0.0, seconds))
