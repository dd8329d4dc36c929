"""Reloading jobs.yaml: a child looks at it, another reads it, the loop hears what came of it.

The supervisor itself opens and parses nothing: a child may hang, be huge or import
what it likes; it has a limit, and leaves its outcome in a file. Every accepted
text is kept, so that a restart and `reload --previous` have one to go back to.
"""

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from supervisor import look
from supervisor.config.files import Unreadable, read_regular, write_private
from supervisor.config.outcome import Loaded, read_outcome
from supervisor.config.problems import Wrong
from supervisor.config.zones import MachineZone, machine_zone
from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.changes import Changes
from supervisor.core.model import Asking, Config, Peer, Problem
from supervisor.errands import LOOK, RELOAD, End, Errand, why_ended
from supervisor.look import LIMIT_S as LOOK_LIMIT_S
from supervisor.state_folder import StateFolder, put_aside
from supervisor.watch import Watch
from workers import protocol

READ_LIMIT_S = 60
# Appended, and without the working folder: a `supervisor` there may be anybody's.
_BEGIN = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from supervisor.config import __main__; sys.exit(__main__.main())"
)


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """The text was refused; its problems."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


class ReloadError(Exception):
    """Nothing is known of the text, because it could not be read here and now."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who waits for a reload, and where the answer goes; previous: of the text before."""

    peer: Peer
    answer: "Future[Any]"
    previous: bool = False

    def row(self, at: datetime, said: str) -> effects.Record:
        """What the ledger keeps of it."""
        what = "previous" if self.previous else ""
        return effects.Record(Asking(at, self.peer, "reload", what, said))


class Reloader:
    """The file, the child that reads it, and those who wait for the outcome.

    settle: lays what stands before the file (flags, environment) over it.
    """

    def __init__(
        self, path: Path, folder: StateFolder, acted_on: str, settle: Callable[[Config], Config]
    ) -> None:
        self.folder = folder
        self._path = path
        self._settle = settle
        self._watch = Watch(acted_on)
        self._zone = _machine_zone()
        self._looking = Errand(LOOK, "look")
        self._look_by = 0.0  # monotonic: then the child that looks has had its time
        self._is_wanted = False  # the text stood still and is to be read
        self._waiting: list[Asker] = []
        self._reading = Errand(RELOAD, "reload")
        self._previous_wanted = False
        self._found = ""

    def look(self, at: ev.At) -> None:
        """Look at the file, as once a minute, and at the zone that holds where it names none."""
        zone = _machine_zone()
        if zone == self._zone:
            self._watch.want(at.mono)
        else:
            self._zone = zone
            self._watch.insist(at.mono)

    def ask(self, asker: Asker | None, at: ev.At) -> None:
        """Somebody wants a reload, and perhaps an answer."""
        if asker is not None:
            self._waiting.append(asker)
        if asker is not None and asker.previous:
            self._previous_wanted = True
        else:
            self._watch.insist(at.mono)

    @property
    def is_reading(self) -> bool:
        """Whether the child lives."""
        return self._reading.is_out

    def next_instant(self) -> float | None:
        """When there is something to do here, monotonic."""
        if self._reading.is_out:
            return None
        if self._previous_wanted or self._is_wanted:
            return 0.0
        return self._look_by if self._looking.is_out else self._watch.look_at

    def errand(self, at: ev.At) -> effects.Launch | None:
        """The child to be started now, if the file is to be looked at or read."""
        if self._reading.is_out:
            return None
        if self._previous_wanted:
            self._previous_wanted = False
            return self._reader(at, "--text", str(self.folder.previous))
        if self._is_wanted:
            self._is_wanted = False
            return self._reader(at)
        if self._looking.is_out or not self._watch.begin(at.mono):
            return None
        self._look_by = at.mono + LOOK_LIMIT_S + 1.0
        params = msgspec.json.encode({"path": str(self._path)}).decode()
        return self._looking.begin(at, worker=look.WORKER, params_json=params)

    def _reader(self, at: ev.At, *source: str) -> effects.Launch:
        self._remove_outcome()
        argv = [sys.executable, "-X", "utf8", "-P", "-c", _BEGIN, str(Path(__file__).parents[1])]
        argv += [str(self._path), *source]
        argv += ["--into", str(self.folder.outcome), "--cache", str(self.folder.cache)]
        argv += ["--limit", str(READ_LIMIT_S)]
        # All paths are absolute, and the working folder may be gone.
        return self._reading.begin(at, argv=tuple(argv), cwd="/")

    def settled(self, heard: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """What a child's end means: a new text for the core, or a refusal."""
        heard = list(heard)
        for message in self._looking.said(heard):
            if isinstance(message, protocol.Done):
                self._found = str(message.result.get("found", ""))
        looked, read = self._looking.end(heard), self._reading.end(heard)
        happened = [] if read is None else [self._outcome(read, at)]
        return happened if looked is None else [*happened, *self._looked(looked, at)]

    def overdue(self, at: ev.At) -> list[ev.Event]:
        """The refusal of a file at which a child has looked for too long, told once."""
        if not self._looking.is_out or at.mono < self._look_by:
            return []
        self._look_by = math.inf
        return self._not_looked(f"no answer within {LOOK_LIMIT_S} s", at)

    def _looked(self, end: End, at: ev.At) -> list[ev.Event]:
        found, self._found = self._found, ""
        if found:
            self._is_wanted = self._watch.saw(found, at.mono)
            return []
        if isinstance(end, ev.Exited) and os.WIFSIGNALED(end.wait_status):
            return self._not_looked(f"no answer within {LOOK_LIMIT_S} s", at)
        return self._not_looked(f"the process that looks at it {why_ended(end, LOOK_LIMIT_S)}", at)

    def _not_looked(self, why: str, at: ev.At) -> list[ev.Event]:
        why = f"cannot be read: {why}"
        if not self._watch.gave_up(why):
            return []
        return [ev.ReloadRefused(at, (Problem(1, 1, "", why),))]

    def accepted(self, changes: Changes, at: datetime) -> list[effects.Record]:
        """Tell those who wait what the new text changed; what the ledger keeps of it."""
        waiting, self._waiting = self._waiting, []
        for asker in waiting:
            if asker.answer.set_running_or_notify_cancel():
                asker.answer.set_result(changes)
        return [asker.row(at, "ok") for asker in waiting]

    def refused(self, problems: tuple[Problem, ...], at: datetime) -> list[effects.Record]:
        """Tell those who wait why the text was refused; what the ledger keeps of it."""
        return self._answer(
            Refused(problems), f"jobs.yaml is refused: {len(problems)} problems", at
        )

    def failed(self, error: str, at: datetime) -> list[effects.Record]:
        """Tell those who wait why nothing was read; what the ledger keeps of it."""
        said = f"jobs.yaml could not be read again: {error}"
        return self._answer(ReloadError(said), said, at)

    def _answer(self, error: Exception, said: str, at: datetime) -> list[effects.Record]:
        waiting, self._waiting = self._waiting, []
        for asker in waiting:
            if asker.answer.set_running_or_notify_cancel():
                asker.answer.set_exception(error)
        return [asker.row(at, said) for asker in waiting]

    def _outcome(self, end: End, at: ev.At) -> ev.Event:
        try:
            if not _has_written(end):  # what lies there may be an older one's
                raise FileNotFoundError("it wrote nothing")
            loaded = read_outcome(self.folder.outcome)
        except (OSError, ValueError, RecursionError) as error:
            return ev.ReloadRefused(at, (), _why_unread(end, error, self.folder.root))
        finally:
            self._remove_outcome()
        if loaded.config is None:
            return ev.ReloadRefused(at, loaded.problems)
        return self._accept(loaded, loaded.config, at)

    def _remove_outcome(self) -> None:
        """Remove an earlier outcome; what is not ours in its place is moved aside."""
        try:
            self.folder.outcome.unlink(missing_ok=True)
        except OSError:
            with contextlib.suppress(OSError):  # a read-only disk: reading the file tells it
                put_aside(self.folder.outcome)

    def _accept(self, loaded: Loaded, config: Config, at: ev.At) -> ev.Event:
        keep_text(self.folder, loaded.text)
        return ev.Reloaded(at, self._settle(config))


def _machine_zone() -> MachineZone | None:
    try:
        return machine_zone(os.environ)
    except Wrong:  # it does not change while this process lives, and reading the file tells it
        return None


def keep_text(folder: StateFolder, text: str) -> None:
    """Keep an accepted text, and the one before it. A full disk costs only that."""
    before = b""
    with contextlib.suppress(Unreadable):
        before = read_regular(folder.accepted, look.LARGEST_BYTES)
    if before == text.encode():
        return
    with contextlib.suppress(OSError):
        if before:
            write_private(folder.previous, before)
        write_private(folder.accepted, text.encode())


def _has_written(end: End) -> bool:
    """Whether the child came to its end: its status says what it wrote."""
    return isinstance(end, ev.Exited) and end.wait_status in (0, 2 << 8)


def _why_unread(end: End, error: Exception, folder: Path) -> str:
    if isinstance(end, ev.Lost):
        return "the process that read it was lost; ask again with nightshift reload"
    if os.access(folder, os.W_OK):
        return f"the process that read it {why_ended(end, READ_LIMIT_S)}: {error}"
    return f"the state folder {folder} is read-only, or may not be written"
