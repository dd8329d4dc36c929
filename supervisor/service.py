"""One service, put together: folder, definitions, ledger, processes, API, loop.

The order of a start is the contract: hold the folder, read jobs.yaml, open the
ledger, sweep strays of a dead predecessor, settle and catch up; only then does
the socket answer. `start` and `run --local` differ by one word: the calendar.
"""

import contextlib
import gc
import os
import resource
import selectors
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from supervisor import __version__
from supervisor.api import Api
from supervisor.config.secrets import secrets_among
from supervisor.containment import tree
from supervisor.containment.processes import Processes
from supervisor.core import decide
from supervisor.core.effects import Note
from supervisor.core.events import Restored
from supervisor.core.model import Config, Problem, replace
from supervisor.core.view import Facts, Listening
from supervisor.decisions import Decide
from supervisor.desk import Desk
from supervisor.first_reading import FirstReading, read_apart
from supervisor.herald import Herald
from supervisor.ledger.store import Store
from supervisor.log import Log
from supervisor.loop import Loop
from supervisor.masking import mask_of
from supervisor.notify_socket import taken_from
from supervisor.reload import Reloader, keep_text
from supervisor.state_folder import StateFolder, check_socket_path

# Pipes and sockets of many keepers; jobs get the original limit back.
WANTED_FILES = 65536


@dataclass(frozen=True, slots=True)
class Settings:
    """What flags and environment decide, before jobs.yaml has a say."""

    config: Path
    state: Path
    socket: Path
    strict: bool = False
    shutdown_grace_s: float | None = None
    log_level: str = "info"
    log_json: bool = False
    calendar: bool = True

    def settle(self, config: Config) -> Config:
        """The definitions, with what stands before them laid over.

        Jobs inherit our environment, so what is secret in it is to be masked, too.
        """
        secrets = (*config.secrets, *secrets_among(os.environ.items()))
        config = replace(config, secrets=tuple(dict.fromkeys(secrets)))
        if self.shutdown_grace_s is None:
            return config
        return replace(config, shutdown_grace_s=self.shutdown_grace_s)


class BadConfig(Exception):  # noqa: N818 - the word people use
    """jobs.yaml is refused and no earlier text may stand in for it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


class Service:
    """A service that has begun; `desk` is how the outside sees and asks it.

    Raises (at construction): NoProcError, FolderTrouble, BadConfig, LedgerTrouble,
    LedgerRefused.
    """

    def __init__(self, settings: Settings, decide: Decide = decide.decide) -> None:
        tree.need_proc()
        # Before anything is started that would inherit it.
        self._notify = taken_from(os.environ, os.getpid())
        umask = os.umask(0o077)
        check_socket_path(settings.socket)
        folder = StateFolder(settings.state)
        folder.make()
        self._lock = folder.lock()
        self._put_aside = folder.make_inside()
        reading, refused = _load(settings, folder)
        config = settings.settle(reading.loaded.config or Config(()))
        self.desk = Desk(_facts(settings))
        # Bound before anything runs, so that nothing runs if it cannot be.
        self._api = Api(settings.socket, config.api, self.desk, folder.root)
        self.desk.facts = replace(self.desk.facts, metrics=self._listen(settings, config))
        try:
            self._store = Store(folder.root)
            crashed = self._store.begin_life()
        except BaseException:
            self._api.close()
            raise
        self._log = Log(settings.log_level, settings.log_json)
        self._log.mask = self.desk.mask = mask_of(config)
        swept = tree.sweep(self._store.instance)
        folder.empty_tmp()
        selector = selectors.DefaultSelector()
        self._processes = _processes(selector, folder, self._store.instance, umask)
        self._processes.start()
        reloader = Reloader(settings.config, folder, reading.found, settings.settle)
        self._herald = Herald(self._notify, self._log)
        self.loop = Loop(
            selector,
            self._store,
            self._processes,
            reloader,
            self.desk,
            self._log,
            self._herald,
            decide,
        )
        self._say_what_was_found(refused, swept)
        listening = self.desk.facts.metrics
        if listening is not None and listening.error:
            self._note("warning", f"metrics: {listening.address}: {listening.error}; goes on")
        self._begin(settings, config, refused, crashed)

    def _begin(
        self, settings: Settings, config: Config, refused: tuple[Problem, ...], crashed: bool
    ) -> None:
        """Settle, catch up, launch what is due; only then does the socket answer."""
        at, memory = self.loop.read_clocks(), self._store.memory()
        damage = "; ".join(filter(None, (self._store.take_damage(), *self._put_aside)))
        self.loop.begin(Restored(at, config, memory, settings.calendar, crashed, refused, damage))
        self._api.start()
        self.desk.is_ready = True
        self._herald.begin(self.loop.world, at.mono)
        if settings.calendar:
            jobs = f"{len(config.jobs)} job{'s'[: len(config.jobs) != 1]}"
            self._note("info", f"ready: {jobs}, answers at {settings.socket}")
        # What lives now lives on: the collector need not walk through it at every burst.
        gc.freeze()
        # A burst makes many values and no cycles; looking for them took a seventh of it.
        gc.set_threshold(50_000, 20, 100)

    def _listen(self, settings: Settings, config: Config) -> Listening | None:
        """Open the TCP listener; jobs do not go unrun for want of it."""
        if config.metrics is None or not settings.calendar:
            return None
        try:
            self._api.open_metrics(config.metrics)
        except OSError as error:
            return Listening(config.metrics, error.strerror or str(error))
        return Listening(config.metrics, "")

    def run(self, until_idle: bool = False) -> None:
        """Serve until stopped; then leave nothing behind."""
        try:
            self.loop.run(until_idle)
        finally:
            self.close()

    def close(self) -> None:
        """End every process, the API and the ledger; each also if another one cannot be ended."""
        with contextlib.ExitStack() as last_first:
            last_first.callback(self._notify.close)
            last_first.callback(self._log.close)
            last_first.callback(self._store.close)
            last_first.callback(self.loop.flush)
            last_first.callback(self._api.close)
            last_first.callback(self._end_processes)

    def _end_processes(self) -> None:
        left = self._processes.close()
        if left:
            self._note("error", f"left behind, SIGKILL does not end them: {'; '.join(left[:20])}")

    def _say_what_was_found(self, refused: tuple[Problem, ...], swept: tree.Swept) -> None:
        if swept.killed:
            named, count = "; ".join(swept.killed[:20]), len(swept.killed)
            self._note("warning", f"killed {count} strays of a dead predecessor: {named}")
        if swept.left:
            named = "; ".join(swept.left[:20])
            self._note("error", f"strays of a dead predecessor survive SIGKILL: {named}")
        for text in self._put_aside:
            self._note("warning", text)
        if self._notify.trouble:
            self._note("warning", self._notify.trouble)
        if refused:
            self._note("error", "jobs.yaml is refused; the last good text of it runs")

    def _note(self, level: str, text: str) -> None:
        self._log.note(self.loop.read_clocks().wall, Note(level, text))


def _load(settings: Settings, folder: StateFolder) -> tuple[FirstReading, tuple[Problem, ...]]:
    """What is to run, and the problems of the file if that is an older text."""
    reading = read_apart(settings.config, os.environ, folder.cache)
    loaded = reading.loaded
    if loaded.config is not None:
        keep_text(folder, loaded.text)
        return reading, ()
    if not settings.strict and settings.calendar and os.path.exists(folder.accepted):
        earlier = read_apart(settings.config, os.environ, folder.cache, folder.accepted)
        if earlier.loaded.config is not None:
            return FirstReading(earlier.loaded, reading.found), loaded.problems
    raise BadConfig(loaded.problems)


def _processes(
    selector: selectors.BaseSelector, folder: StateFolder, instance: str, umask: int
) -> Processes:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    return Processes(
        selector,
        folder.runs,
        instance,
        house={"TMPDIR": str(folder.tmp)},
        umask=umask,
        limits=[(resource.RLIMIT_NOFILE, soft, hard)],
    )


def _facts(settings: Settings) -> Facts:
    now = datetime.now(UTC)
    return Facts(
        version=__version__,
        pid=os.getpid(),
        started_at=now,
        config_path=str(settings.config),
        config_loaded_at=now,
    )
