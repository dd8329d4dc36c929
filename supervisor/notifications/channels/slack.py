"""Formats an alert as a Slack message: Block Kit blocks, and one line of plain text.

Pure. Every text is masked first (`_seen`), because escaping could hide a secret from
the mask. Then control characters are removed, and the text is escaped and cut to
Slack's limits (3,000 characters per text, 50 blocks).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from supervisor.core import incidents
from supervisor.core.alert_model import Alert
from supervisor.core.incidents import AlertKind
from supervisor.core.model import Job, Run, Severity
from workers.text import readable
from workers.units import format_duration

Mask = Callable[[str], str]
Block = dict[str, Any]

MOST_TEXT = 2900  # of 3,000
MOST_FIELD = 1900  # of 2,000
MOST_HEADER = 140  # of 150
LAST_LINES = 12

# Backticks that would end a code block, or merge with its delimiters.
_FRAME_ENDS = re.compile(r"```|\A`+|`+\Z")
QUOTE = "'"

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# Escape sequences of terminals (colours, cursor movements), then invisible characters.
_TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_HALF_ENTITY = re.compile(r"&[a-z]*$")

_SIGNS = {"critical": "🚨", "error": "🔴", "warning": "🟠", "info": "🔵"}
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


@dataclass(frozen=True, slots=True)
class AlertContext:
    """An alert and its details; None: unknown.

    output: the newest lines of the run's output. host: where the service runs.
    """

    alert: Alert
    zone: ZoneInfo
    host: str
    run: Run | None = None
    job: Job | None = None
    last_success: datetime | None = None
    output: tuple[str, ...] = ()


def message(about: AlertContext, mask: Mask) -> dict[str, Any]:
    """Return the JSON body of one POST to a webhook."""
    title = f"{_sign(about.alert)} {_title(about.alert)}"
    line = title if about.alert.word == AlertKind.RECOVERED else f"{title}: {about.alert.cause}"
    return {"text": _mrkdwn(line, mask, MOST_TEXT), "blocks": list(_blocks(about, title, mask))}


def test_message(host: str) -> dict[str, Any]:
    """Return the JSON body of a test alert."""
    line = f"🔵 test alert of nightshift on {host}: alerts arrive here"
    return {"text": line, "blocks": [_section(line)]}


def _blocks(about: AlertContext, title: str, mask: Mask) -> Iterator[Block]:
    alert = about.alert
    header = _cut(_seen(title, mask), MOST_HEADER)
    yield {"type": "header", "text": {"type": "plain_text", "text": header, "emoji": True}}
    if alert.word != AlertKind.RECOVERED:
        cause = _framed(_cut(_escaped(alert.cause, mask), MOST_TEXT - 40) or "-")
        yield _section(f"*Cause*\n{cause}")
    fields = [
        {"type": "mrkdwn", "text": f"*{name}*\n{_mrkdwn(text, mask, MOST_FIELD)}"}
        for name, text in _facts(about)
    ]
    if fields:
        yield {"type": "section", "fields": fields[:10]}
    if about.output and alert.word != AlertKind.RECOVERED:
        shown = _framed(_last_lines(about.output, mask))
        yield _section(f"*Last lines of its output*\n{shown}")
    if about.job is not None and (about.job.docs or about.job.description):
        said = " - ".join(filter(None, (about.job.description, about.job.docs)))
        yield _context(_mrkdwn(said, mask, MOST_FIELD))
    typed = " or ".join(f"`{command}`" for command in _commands(alert))
    stands = f"nightshift on {_mrkdwn(about.host, mask, 100)}, incident {alert.incident}"
    yield _context(f"{stands}. Next: {typed}" if typed else stands)


def _facts(about: AlertContext) -> Iterator[tuple[str, str]]:
    alert, run = about.alert, about.run
    yield "Severity", alert.severity
    yield "Since" if alert.word == AlertKind.OPENED else "At", _moment(alert.at, about.zone)
    if run is not None:
        yield "State", str(run.state)
        yield "Run", f"{run.id}, attempt {run.attempt}, due {_moment(run.due, about.zone)}"
        if run.started_at is not None and run.ended_at is not None:
            took_s = (run.ended_at - run.started_at).total_seconds()
            yield "Duration", _duration(took_s)
    if alert.count > 1 or alert.word == AlertKind.RECOVERED:
        yield "Failed", "once" if alert.count == 1 else f"{alert.count} times"
    if alert.word != AlertKind.OPENED:
        yield "Lasted", _duration(alert.lasted_s)
    if alert.job and alert.word != AlertKind.RECOVERED:
        known = about.last_success
        yield "Last success", "none known" if known is None else _moment(known, about.zone)
    if alert.folded:
        yield "Stands for", f"{alert.folded} earlier alerts, kept back while none was delivered"


def _title(alert: Alert) -> str:
    what = _TITLES.get(alert.kind, "{job} failed").format(job=alert.job or "the service")
    if alert.word == AlertKind.RECOVERED:
        lasted = _duration(alert.lasted_s)
        times = f", {alert.count} times" if alert.count > 1 else ""
        return f"over after {lasted}: {what}{times}"
    if alert.word == AlertKind.REMINDER:
        return f"still, {alert.count} times: {what}"
    return what


def _sign(alert: Alert) -> str:
    return "🟢" if alert.word == AlertKind.RECOVERED else _SIGNS[alert.severity]


def _commands(alert: Alert) -> list[str]:
    if alert.word == AlertKind.RECOVERED:
        return []
    if alert.kind == incidents.CLOCK and alert.severity is Severity.WARNING:
        return ["nightshift status"]  # it resolves by itself, and no slot needs to be repeated
    of_a_failure = ("nightshift logs {run}", "nightshift run {job}")
    wanted = (*_NEXT.get(alert.kind, of_a_failure), "nightshift incidents ack {incident} --for 1d")
    names = {"job": alert.job, "run": alert.run, "incident": alert.incident}
    return [command.format(**names).rstrip() for command in wanted]


def _last_lines(lines: tuple[str, ...], mask: Mask) -> str:
    """Return the newest lines that fit, masked together: a secret may span lines."""
    text = _escaped("\n".join(lines), mask)
    kept = "\n".join(text.splitlines()[-LAST_LINES:])
    if len(kept) <= MOST_TEXT - 100:
        return kept
    cut = kept[-(MOST_TEXT - 100) :]
    # Remove the rest of an entity that was cut, such as `&amp;`.
    return "…" + re.sub(r"^[a-z]{0,4};", "", cut)


def _framed(escaped: str) -> str:
    """Return the text in a code block, where Slack ignores `*`, `_`, `~` and backticks."""
    return f"```{_FRAME_ENDS.sub(lambda found: QUOTE * len(found[0]), escaped)}```"


def _mrkdwn(text: str, mask: Mask, room: int) -> str:
    return _cut(_escaped(text, mask), room)


def _escaped(text: str, mask: Mask) -> str:
    return _seen(text, mask).translate(_ESCAPES)


def _seen(text: str, mask: Mask) -> str:
    masked = readable(mask(text))
    return _CONTROL.sub(" ", _TERMINAL.sub("", masked.replace("\r\n", "\n")))


def _cut(shown: str, room: int) -> str:
    return shown if len(shown) <= room else _HALF_ENTITY.sub("", shown[: room - 1]) + "…"


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _context(text: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


def _moment(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def _duration(seconds: float) -> str:
    # Clamp: the difference is negative if the clock was set back.
    return format_duration(max(0.0, seconds))
