"""Reloads jobs.yaml: one child checks the file, another parses it, and the loop acts on it.

The supervisor itself neither opens nor parses the file. A child may hang, use much
memory or import anything; it has a time limit and leaves its outcome in a file. Each
accepted text is kept, so that a restart or `reload --previous` can return to it.
"""

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from supervisor.config import fingerprint
from supervisor.config.files import write_private
from supervisor.config.fingerprint import LIMIT_S as LOOK_LIMIT_S
from supervisor.config.problems import BadValueError
from supervisor.config.result import Loaded, read_outcome
from supervisor.config.timezones import MachineZone, system_zone
from supervisor.config.watch import ConfigWatch
from supervisor.containment.internal_jobs import LOOK, RELOAD, End, InternalJob, why_ended
from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.config_diff import Changes
from supervisor.core.config_model import Config, Problem
from supervisor.core.model import AuditEntry, Peer
from supervisor.state_dir import StateDir, put_aside
from workers import protocol
from workers.regular_file import UnreadableFileError, read_regular
from workers.units import format_count

READ_LIMIT_S = 60
# Appended, and without the working folder, which may hold another `supervisor`.
_BEGIN = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from supervisor.config import __main__; sys.exit(__main__.main())"
)


class ReloadRefusedError(Exception):
    """Refusal of a text of jobs.yaml, with its problems."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(format_count(len(problems), "problem"))
        self.problems = problems


class ReloadError(Exception):
    """Failure to read jobs.yaml; nothing is known about its text."""


class ReloadRequest(Struct, frozen=True):
    """A request for a reload and the future for its answer; previous: reload the text before."""

    peer: Peer
    answer: "Future[Any]"
    previous: bool = False

    def row(self, at: datetime, said: str) -> effects.Record:
        """Return the audit record of this request."""
        what = "previous" if self.previous else ""
        return effects.Record(AuditEntry(at, self.peer, "reload", what, said))


class Reloader:
    """The definitions file, the child that reads it and the requests that wait for the outcome.

    settle: applies the overrides of flags and environment to a config.
    """

    def __init__(
        self, path: Path, folder: StateDir, acted_on: str, settle: Callable[[Config], Config]
    ) -> None:
        self.folder = folder
        self._path = path
        self._settle = settle
        self._watch = ConfigWatch(acted_on)
        self._zone = _machine_zone()
        self._looking = InternalJob(LOOK, "look")
        self._look_by = 0.0  # monotonic deadline of the child that checks the file
        self._is_wanted = False  # the text is stable and due to be read
        self._waiting: list[ReloadRequest] = []
        self._settled: list[tuple[Future[Any], Changes | Exception]] = []
        self._reading = InternalJob(RELOAD, "reload")
        self._previous_wanted = False
        self._found = ""

    def poll(self, at: ev.At) -> None:
        """Request a check of the file (once a minute), or a reload if the machine's zone changed.

        Jobs that name no zone use the machine's.
        """
        zone = _machine_zone()
        if zone == self._zone:
            self._watch.request_look(at.mono)
        else:
            self._zone = zone
            self._watch.force(at.mono)

    def request(self, asker: ReloadRequest | None, at: ev.At) -> None:
        """Request a reload; asker: the request to answer, if any."""
        if asker is not None:
            self._waiting.append(asker)
        if asker is not None and asker.previous:
            self._previous_wanted = True
        else:
            self._watch.force(at.mono)

    @property
    def is_reading(self) -> bool:
        """Return whether the reading child is alive."""
        return self._reading.is_out

    def next_instant(self) -> float | None:
        """Return the monotonic time of the next action; None if there is none."""
        if self._reading.is_out:
            return None
        if self._previous_wanted or self._is_wanted:
            return 0.0
        return self._look_by if self._looking.is_out else self._watch.look_at

    def next_launch(self, at: ev.At) -> effects.Launch | None:
        """Return the launch of a child that is due now to check or read the file, if any."""
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
        return self._looking.begin(at, worker=fingerprint.WORKER, params_json=params)

    def _reader(self, at: ev.At, *source: str) -> effects.Launch:
        self._remove_outcome()
        argv = [sys.executable, "-X", "utf8", "-P", "-c", _BEGIN, str(Path(__file__).parents[1])]
        argv += [str(self._path), *source]
        argv += ["--into", str(self.folder.outcome), "--cache", str(self.folder.cache)]
        argv += ["--limit", str(READ_LIMIT_S)]
        # All paths are absolute, and the working folder may have been deleted.
        return self._reading.begin(at, argv=tuple(argv), cwd="/")

    def on_events(self, events: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """Return what the end of a child means for the core: a new text, or a refusal."""
        events = list(events)
        for message in self._looking.said(events):
            if isinstance(message, protocol.Done):
                self._found = str(message.result.get("found", ""))
        looked, read = self._looking.end(events), self._reading.end(events)
        happened = [] if read is None else [self._outcome(read, at)]
        return happened if looked is None else [*happened, *self._looked(looked, at)]

    def overdue(self, at: ev.At) -> list[ev.Event]:
        """Return a refusal, once, if the child that checks the file is past its time limit."""
        if not self._looking.is_out or at.mono < self._look_by:
            return []
        self._look_by = math.inf
        return self._not_looked(f"no answer within {LOOK_LIMIT_S} s", at)

    def _looked(self, end: End, at: ev.At) -> list[ev.Event]:
        found, self._found = self._found, ""
        if found:
            self._is_wanted = self._watch.observe(found, at.mono)
            return []
        if isinstance(end, ev.Exited) and os.WIFSIGNALED(end.wait_status):
            return self._not_looked(f"no answer within {LOOK_LIMIT_S} s", at)
        return self._not_looked(f"the process that looks at it {why_ended(end, LOOK_LIMIT_S)}", at)

    def _not_looked(self, why: str, at: ev.At) -> list[ev.Event]:
        why = f"cannot be read: {why}"
        if not self._watch.give_up(why):
            return []
        return [ev.ReloadRefused(at, (Problem(1, 1, "", why),))]

    def accepted(self, changes: Changes, at: datetime) -> list[effects.Record]:
        """Settle the waiting requests with the changes; return their audit records."""
        return self._settle_requests(changes, "ok", at)

    def refused(self, problems: tuple[Problem, ...], at: datetime) -> list[effects.Record]:
        """Settle the waiting requests with the problems; return their audit records."""
        return self._settle_requests(
            ReloadRefusedError(problems),
            f"jobs.yaml is refused: {format_count(len(problems), 'problem')}",
            at,
        )

    def failed(self, error: str, at: datetime) -> list[effects.Record]:
        """Settle the waiting requests with the reason; return their audit records."""
        said = f"jobs.yaml could not be read again: {error}"
        return self._settle_requests(ReloadError(said), said, at)

    def _settle_requests(
        self, outcome: Changes | Exception, said: str, at: datetime
    ) -> list[effects.Record]:
        waiting, self._waiting = self._waiting, []
        self._settled += [(asker.answer, outcome) for asker in waiting]
        return [asker.row(at, said) for asker in waiting]

    def send_answers(self) -> None:
        """Answer the settled requests; call this when their audit records are written."""
        settled, self._settled = self._settled, []
        for answer, outcome in settled:
            if not answer.set_running_or_notify_cancel():
                continue
            if isinstance(outcome, Exception):
                answer.set_exception(outcome)
            else:
                answer.set_result(outcome)

    def _outcome(self, end: End, at: ev.At) -> ev.Event:
        try:
            if not _has_written(end):  # the file may be that of an earlier child
                raise FileNotFoundError("it wrote nothing")
            loaded = read_outcome(self.folder.outcome)
        except (OSError, ValueError, RecursionError) as error:
            return ev.ReloadRefused(at, (), _why_unread(end, error, self.folder.root))
        finally:
            self._remove_outcome()
        if loaded.config is None:
            return ev.ReloadRefused(at, loaded.problems, sha256=loaded.sha256)
        return self._accept(loaded, loaded.config, at)

    def _remove_outcome(self) -> None:
        """Remove an earlier outcome; move anything else in its place aside."""
        try:
            self.folder.outcome.unlink(missing_ok=True)
        except OSError:
            with contextlib.suppress(OSError):  # on a read-only disk, reading reports it
                put_aside(self.folder.outcome)

    def _accept(self, loaded: Loaded, config: Config, at: ev.At) -> ev.Event:
        save_accepted_text(self.folder, loaded.text)
        return ev.Reloaded(at, self._settle(config), loaded.sha256)


def _machine_zone() -> MachineZone | None:
    try:
        return system_zone(os.environ)
    except (
        BadValueError
    ):  # $TZ does not change while this process lives, and reading the file reports it
        return None


def save_accepted_text(folder: StateDir, text: str) -> None:
    """Save an accepted text and keep the one before it; ignore errors such as a full disk."""
    before = b""
    with contextlib.suppress(UnreadableFileError):
        before = read_regular(folder.accepted, fingerprint.LARGEST_BYTES)
    if before == text.encode():
        return
    with contextlib.suppress(OSError):
        if before:
            write_private(folder.previous, before)
        write_private(folder.accepted, text.encode())


def _has_written(end: End) -> bool:
    """Return whether the child wrote its outcome: it exited with status 0 or 2."""
    return isinstance(end, ev.Exited) and end.wait_status in (0, 2 << 8)


def _why_unread(end: End, error: Exception, folder: Path) -> str:
    if isinstance(end, ev.KeeperLost):
        return "the process that read it was lost; ask again with nightshift reload"
    if os.access(folder, os.W_OK):
        return f"the process that read it {why_ended(end, READ_LIMIT_S)}: {error}"
    return f"the state folder {folder} is read-only, or may not be written"
