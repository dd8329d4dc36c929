"""An alert as a message for Slack: Block Kit, and the same in one plain line.

Pure. Every text goes through `_plain`: masked first, so that no escaping hides a
secret from the mask, then freed of control characters, escaped, and cut to what
Slack takes (3,000 characters a text, 50 blocks).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from supervisor.core import incident
from supervisor.core.alert_model import Alert
from supervisor.core.incident import Word
from supervisor.core.model import Job, Run, Severity
from workers.text import readable
from workers.units import format_duration

Mask = Callable[[str], str]
Block = dict[str, Any]

MOST_TEXT = 2900  # of 3,000
MOST_FIELD = 1900  # of 2,000
MOST_HEADER = 140  # of 150
LAST_LINES = 12

# Backticks that would end a frame of three, or become a part of its ends.
_FRAME_ENDS = re.compile(r"```|\A`+|`+\Z")
QUOTE = "'"

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# Colours and cursor movements of a terminal, then all that no reader sees.
_TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-_]")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_HALF_ENTITY = re.compile(r"&[a-z]*$")

_SIGNS = {"critical": "🚨", "error": "🔴", "warning": "🟠", "info": "🔵"}
# What a trouble is called where no run has failed.
_TITLES = {
    incident.LATE: "{job} is late",
    incident.MISSED: "{job} missed a slot",
    incident.RELOAD: "jobs.yaml was refused",
    incident.UNKILLABLE: "{job} left processes that cannot be killed",
    incident.CLOCK: "the clock went back",
    incident.LEDGER: "the ledger is in trouble",
    incident.DAMAGE: "the ledger was damaged",
    incident.INTERNAL: "internal error of nightshift ({job})",
}
_NEXT = {
    incident.LATE: ("nightshift explain {job}", "nightshift run {job}"),
    incident.MISSED: ("nightshift explain {job}", "nightshift run {job}"),
    incident.RELOAD: ("nightshift check", "nightshift reload"),
    incident.UNKILLABLE: ("nightshift show {job}", "nightshift status"),
    incident.CLOCK: ("nightshift status", "nightshift resume --from-now"),
    incident.LEDGER: ("nightshift status", "df -h"),
    incident.DAMAGE: ("nightshift incidents", "dmesg"),
    incident.INTERNAL: ("nightshift incidents", "nightshift status"),
}


@dataclass(frozen=True, slots=True)
class About:
    """An alert, and what its reader wants to know besides; None: not known.

    output: the newest lines of the run's output. host: where the service runs.
    """

    alert: Alert
    zone: ZoneInfo
    host: str
    run: Run | None = None
    job: Job | None = None
    last_success: datetime | None = None
    output: tuple[str, ...] = ()


def message(about: About, mask: Mask) -> dict[str, Any]:
    """The body of one POST to a webhook."""
    title = f"{_sign(about.alert)} {_title(about.alert)}"
    line = title if about.alert.word == Word.RECOVERED else f"{title}: {about.alert.cause}"
    return {"text": _mrkdwn(line, mask, MOST_TEXT), "blocks": list(_blocks(about, title, mask))}


def trial(host: str) -> dict[str, Any]:
    """The body of a test alert."""
    line = f"🔵 test alert of nightshift on {host}: alerts arrive here"
    return {"text": line, "blocks": [_section(line)]}


def _blocks(about: About, title: str, mask: Mask) -> Iterator[Block]:
    alert = about.alert
    header = _cut(_seen(title, mask), MOST_HEADER)
    yield {"type": "header", "text": {"type": "plain_text", "text": header, "emoji": True}}
    if alert.word != Word.RECOVERED:
        cause = _framed(_cut(_escaped(alert.cause, mask), MOST_TEXT - 40) or "-")
        yield _section(f"*Cause*\n{cause}")
    fields = [
        {"type": "mrkdwn", "text": f"*{name}*\n{_mrkdwn(text, mask, MOST_FIELD)}"}
        for name, text in _facts(about)
    ]
    if fields:
        yield {"type": "section", "fields": fields[:10]}
    if about.output and alert.word != Word.RECOVERED:
        shown = _framed(_last_lines(about.output, mask))
        yield _section(f"*Last lines of its output*\n{shown}")
    if about.job is not None and (about.job.docs or about.job.description):
        said = " - ".join(filter(None, (about.job.description, about.job.docs)))
        yield _context(_mrkdwn(said, mask, MOST_FIELD))
    typed = " or ".join(f"`{command}`" for command in _commands(alert))
    stands = f"nightshift on {_mrkdwn(about.host, mask, 100)}, incident {alert.incident}"
    yield _context(f"{stands}. Next: {typed}" if typed else stands)


def _facts(about: About) -> Iterator[tuple[str, str]]:
    alert, run = about.alert, about.run
    yield "Severity", alert.severity
    yield "Since" if alert.word == Word.OPENED else "At", _moment(alert.at, about.zone)
    if run is not None:
        yield "State", str(run.state)
        yield "Run", f"{run.id}, attempt {run.attempt}, due {_moment(run.due, about.zone)}"
        if run.started_at is not None and run.ended_at is not None:
            took_s = (run.ended_at - run.started_at).total_seconds()
            yield "Duration", _duration(took_s)
    if alert.count > 1 or alert.word == Word.RECOVERED:
        yield "Failed", "once" if alert.count == 1 else f"{alert.count} times"
    if alert.word != Word.OPENED:
        yield "Lasted", _duration(alert.lasted_s)
    if alert.job and alert.word != Word.RECOVERED:
        known = about.last_success
        yield "Last success", "none known" if known is None else _moment(known, about.zone)
    if alert.folded:
        yield "Stands for", f"{alert.folded} earlier alerts, kept back while none was delivered"


def _title(alert: Alert) -> str:
    what = _TITLES.get(alert.kind, "{job} failed").format(job=alert.job or "the service")
    if alert.word == Word.RECOVERED:
        lasted = _duration(alert.lasted_s)
        times = f", {alert.count} times" if alert.count > 1 else ""
        return f"over after {lasted}: {what}{times}"
    if alert.word == Word.REMINDER:
        return f"still, {alert.count} times: {what}"
    return what


def _sign(alert: Alert) -> str:
    return "🟢" if alert.word == Word.RECOVERED else _SIGNS[alert.severity]


def _commands(alert: Alert) -> list[str]:
    if alert.word == Word.RECOVERED:
        return []
    if alert.kind == incident.CLOCK and alert.severity is Severity.WARNING:
        return ["nightshift status"]  # it passes by itself, and no fixed time is to be repeated
    of_a_failure = ("nightshift logs {run}", "nightshift run {job}")
    wanted = (*_NEXT.get(alert.kind, of_a_failure), "nightshift incidents ack {incident} --for 1d")
    names = {"job": alert.job, "run": alert.run, "incident": alert.incident}
    return [command.format(**names).rstrip() for command in wanted]


def _last_lines(lines: tuple[str, ...], mask: Mask) -> str:
    """The newest lines that fit, masked as one text, since a secret may have several."""
    text = _escaped("\n".join(lines), mask)
    kept = "\n".join(text.splitlines()[-LAST_LINES:])
    if len(kept) <= MOST_TEXT - 100:
        return kept
    cut = kept[-(MOST_TEXT - 100) :]
    # Nothing may begin in the middle of `&amp;`.
    return "…" + re.sub(r"^[a-z]{0,4};", "", cut)


def _framed(escaped: str) -> str:
    """As it is: in a frame Slack takes no `*`, `_`, `~` or backtick for markup."""
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
    # A clock that was put back must not make a text impossible.
    return format_duration(max(0.0, seconds))
