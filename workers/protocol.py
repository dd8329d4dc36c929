"""Messages of a worker: one JSON object per line, at most 64 KiB per line.

Pure, standard library only. This is the only interface between the two packages:
`bootstrap.py` writes these lines and the supervisor reads them. The format is not pickle,
so a worker cannot run code in the supervisor. Any input (half a line, garbage, a flood)
leaves `Lines` as a value whose texts can be encoded as UTF-8 (`workers/text.py`).
"""

import json
from dataclasses import dataclass

from workers import json_text
from workers.text import readable

MAX_LINE_BYTES = 64 * 1024
LEVELS = ("debug", "info", "warning", "error")

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Started:
    """The worker's own code is about to run; sent once by `bootstrap.py`."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Amount done of `total` (None: unknown), in `unit`."""

    done: float
    total: float | None
    unit: str


@dataclass(frozen=True, slots=True)
class Metric:
    """A number to export as its own gauge."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Log:
    """A log line; `level` is one of LEVELS."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The worker succeeded; `result` holds numbers and short strings."""

    result: dict[str, Scalar]


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker failed; a `permanent` error is not retried.

    incident: the kind of incident that this is, empty for that of any failure.
    """

    error: str
    permanent: bool
    incident: str = ""


@dataclass(frozen=True, slots=True)
class Garbage:
    """A line that is not a message, and why; created by the reader, never sent."""

    why: str


Message = Started | Progress | Metric | Log | Done | Failed

_WORDS: dict[type, str] = {
    Started: "started",
    Progress: "progress",
    Metric: "metric",
    Log: "log",
    Done: "done",
    Failed: "failed",
}


def encode(message: Message) -> bytes:
    """Return one line including the newline, with texts cut to fit MAX_LINE_BYTES."""
    fields = {name: getattr(message, name) for name in type(message).__slots__}
    line = _line(message, fields)
    if len(line) <= MAX_LINE_BYTES:
        return line
    # A character takes at most 12 bytes as escaped JSON (a surrogate pair).
    room = MAX_LINE_BYTES // 12 - 64
    return _line(message, {name: _cut(value, room) for name, value in fields.items()})


def decode(line: bytes) -> Message | Garbage:
    """Return the message on a line, or Garbage with the reason if the line is not one."""
    if len(line) > MAX_LINE_BYTES:
        return Garbage(f"a line of more than {MAX_LINE_BYTES} bytes")
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return Garbage(f"a line that is not JSON: {line[:60]!r}")
    if not isinstance(fields, dict):
        return Garbage(f"a line that is not a JSON object: {line[:60]!r}")
    try:
        return _message(fields)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        return Garbage(f"a message that does not hold ({error!r}): {line[:60]!r}")


class Lines:
    """Parser of a byte stream into messages; buffers at most one line of MAX_LINE_BYTES."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._dropping = False

    def feed(self, piece: bytes) -> list[Message | Garbage]:
        """Return the messages that `piece` completes; a line that is too long is one Garbage."""
        messages: list[Message | Garbage] = []
        *whole, rest = piece.split(b"\n")
        for line in whole:
            if self._dropping:
                self._dropping = False
            else:
                messages.append(decode(bytes(self._rest) + line))
            self._rest.clear()
        if not self._dropping:
            self._rest += rest
        if len(self._rest) > MAX_LINE_BYTES:
            self._rest.clear()
            self._dropping = True
            messages.append(Garbage(f"a line of more than {MAX_LINE_BYTES} bytes"))
        return messages

    def end(self) -> Garbage | None:
        """Return Garbage if the stream ended inside a line, else None."""
        if self._rest:
            return Garbage(f"half a line: {bytes(self._rest[:60])!r}")
        return None


def _line(message: Message, fields: dict[str, object]) -> bytes:
    return json_text.encode({"message": _WORDS[type(message)], **fields}).encode() + b"\n"


def _cut(value: object, room: int) -> object:
    if isinstance(value, str):
        return value if len(value) <= room else value[:room] + " ... (cut)"
    if isinstance(value, dict):
        each = max(16, room // (2 * len(value) or 1))
        pairs = list(value.items())[: room // 32]
        return {str(key)[:each]: _cut(item, each) for key, item in pairs}
    return value


def _message(fields: dict[str, object]) -> Message:
    match fields["message"]:
        case "started":
            return Started()
        case "progress":
            total = fields.get("total")
            return Progress(
                _number(fields["done"]),
                None if total is None else _number(total),
                _text(fields.get("unit", ""), 40),
            )
        case "metric":
            return Metric(_text(fields["name"], 200), _number(fields["value"]))
        case "log":
            level = _text(fields.get("level", "info"), 20)
            if level not in LEVELS:
                raise ValueError(f"level {level!r} is none of {', '.join(LEVELS)}")
            return Log(level, _text(fields["text"], MAX_LINE_BYTES))
        case "done":
            return Done(_result(fields.get("result", {})))
        case "failed":
            permanent = fields.get("permanent", False)
            if not isinstance(permanent, bool):
                raise ValueError("permanent is no boolean")
            incident = _text(fields.get("incident", ""), 20)
            return Failed(_text(fields["error"], MAX_LINE_BYTES), permanent, incident)
        case word:
            raise ValueError(f"no message is called {word!r}")


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"{value!r} is not finite")
    return float(value) if isinstance(value, float) or abs(value) > 2**53 else value


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return readable(value)[:longest]


def _result(value: object) -> dict[str, Scalar]:
    if not isinstance(value, dict):
        raise ValueError("result is no object")
    for key, item in value.items():
        if not isinstance(item, Scalar):
            raise ValueError(f"result.{key} is neither number nor text")
    return {readable(key): readable(v) if isinstance(v, str) else v for key, v in value.items()}
