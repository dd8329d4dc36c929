"""One service and its parts: state folder, definitions, ledger, processes, API, loop.

The order of a start is a contract: lock the folder, read jobs.yaml, open the ledger,
kill strays of a crashed predecessor, settle and catch up. Only then does the socket
answer. `start` and `run --local` differ only in `Settings.calendar`.
"""

import contextlib
import gc
import os
import resource
import selectors
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from supervisor import __version__
from supervisor.api import ApiServer, server
from supervisor.api.bridge import LoopBridge
from supervisor.config.first_load import load_in_child
from supervisor.containment import process_tree
from supervisor.containment.internal_jobs import InternalJobOwner
from supervisor.containment.processes import Processes
from supervisor.core import decide
from supervisor.core.cluster_config import of_host
from supervisor.core.config_model import Config, Problem
from supervisor.core.effects import Note
from supervisor.core.events import Restored
from supervisor.core.model import replace
from supervisor.core.views import Facts, Listening
from supervisor.ledger.store import Store
from supervisor.log import ServiceLog
from supervisor.redaction.mask import mask_of
from supervisor.redaction.secrets import secrets_among
from supervisor.reloader import Reloader, save_accepted_text
from supervisor.runtime.event_source import EventSource
from supervisor.runtime.loop import Loop
from supervisor.runtime.turns import Decide
from supervisor.state_dir import StateDir, check_socket_path
from supervisor.systemd import SystemdNotifier, from_environ
from workers.units import format_count

# Enough for the pipes and sockets of many keepers; jobs get the original limit back.
WANTED_FILES = 65536


class Settings(Struct, frozen=True):
    """Values of flags and environment, which take precedence over jobs.yaml.

    view: which part of a config this service acts on, in a cluster.
    """

    config: Path
    state: Path
    socket: Path
    strict: bool = False
    shutdown_grace_s: float | None = None
    log_level: str = "info"
    log_json: bool = False
    calendar: bool = True
    view: Callable[[Config], Config] = of_host

    def apply_overrides(self, config: Config) -> Config:
        """Return the config with the overrides of flags and environment.

        Jobs inherit our environment, so its secrets are masked, too.
        """
        secrets = (*config.secrets, *secrets_among(os.environ.items()))
        config = replace(self.view(config), secrets=tuple(dict.fromkeys(secrets)))
        if self.shutdown_grace_s is None:
            return config
        return replace(config, shutdown_grace_s=self.shutdown_grace_s)


class ConfigError(Exception):
    """Refusal of jobs.yaml when no earlier text may replace it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(format_count(len(problems), "problem"))
        self.problems = problems


class FirstText(Struct, frozen=True):
    """The definitions to run, and the fingerprint and sha256 of the file.

    refused: the problems of the file, if an older text of it runs instead.
    """

    config: Config
    found: str
    sha256: str
    refused: tuple[Problem, ...] = ()


class Service:
    """A started service; `bridge` is the bridge through which the API sees and asks it.

    Raises (at construction): NoProcError, StateDirError, ConfigError,
    LedgerUnavailableError, LedgerVersionError.
    """

    def __init__(self, settings: Settings, decide: Decide = decide.decide) -> None:
        process_tree.need_proc()
        # Before any child is started, which would inherit $NOTIFY_SOCKET.
        self._notify = from_environ(os.environ, os.getpid())
        umask = os.umask(0o077)
        check_socket_path(settings.socket)
        folder = StateDir(settings.state)
        folder.make()
        self._lock = folder.lock()
        self._put_aside = folder.make_inside()
        first = _load(settings, folder)
        config = settings.apply_overrides(first.config)
        self.bridge = self._make_bridge(settings, config)
        # Bind before anything runs, so that nothing runs if binding fails.
        self._api = ApiServer(settings.socket, config.api, self.bridge, folder.root)
        self.bridge.facts = replace(self.bridge.facts, metrics=self._listen(settings, config))
        self._log = ServiceLog(settings.log_level, settings.log_json)
        try:
            self._store = self._open_store(folder, config)
            crashed = self._store.begin_life()
            self.bridge.facts = replace(self.bridge.facts, instance=self._store.instance)
        except BaseException:
            self._api.close()
            raise
        self._log.mask = self.bridge.mask = mask_of(config)
        swept = process_tree.kill_stray_instance(self._store.instance)
        folder.empty_tmp()
        selector = selectors.DefaultSelector()
        self._processes = self._make_processes(selector, folder, umask)
        self._processes.start()
        reloader = Reloader(settings.config, folder, first.found, settings.apply_overrides)
        self._notifier = SystemdNotifier(self._notify, self._log)
        self.loop = self._make_loop(
            selector,
            self._store,
            self._processes,
            reloader,
            self.bridge,
            self._log,
            self._notifier,
            decide,
            self._more_owners(settings, config),
            self._event_sources(),
        )
        self._report_startup(first.refused, swept)
        listening = self.bridge.facts.metrics
        if listening is not None and listening.error:
            self._note(
                "warning",
                f"metrics: {listening.address}: {listening.error}; the service runs without it",
            )
        self._begin(settings, config, first, crashed)

    def _begin(self, settings: Settings, config: Config, first: FirstText, crashed: bool) -> None:
        """Settle, catch up and launch what is due; then open the socket for requests."""
        at, memory = self.loop.read_clocks(), self._store.memory()
        damage = "; ".join(filter(None, (self._store.pop_damage(), *self._put_aside)))
        self.loop.begin(
            Restored(
                at,
                config,
                memory,
                calendar=settings.calendar,
                crashed=crashed,
                problems=first.refused,
                damage=damage,
                sha256=first.sha256,
                held=self._held(),
            )
        )
        self._api.start()
        self.bridge.is_ready = True
        self._notifier.begin(self.loop.scheduler, at.mono)
        if settings.calendar:
            jobs = format_count(len(config.jobs), "job")
            self._note("info", f"ready: {jobs}, answers at {settings.socket}")
        # Everything allocated so far is permanent: exclude it from garbage collection.
        gc.freeze()

    # --- what the leader of a cluster does otherwise (cluster/leader.py) ---------------

    def _open_store(self, folder: StateDir, config: Config) -> Store:
        return Store(folder.root)

    def _make_processes(
        self, selector: selectors.BaseSelector, folder: StateDir, umask: int
    ) -> Processes:
        return Processes(
            selector, folder.runs, self._store.instance, **keeper_settings(folder, umask)
        )

    def _make_loop(self, *parts: Any) -> Loop:
        return Loop(*parts)

    def _make_bridge(self, settings: Settings, config: Config) -> LoopBridge:
        """Return the bridge; in a cluster its agent has a line of its own to it."""
        facts = initial_facts(settings)
        if config.cluster is None or not settings.calendar:
            return LoopBridge(facts)
        from supervisor.cluster.agent_line import AgentLine, HostBridge
        from supervisor.cluster.agent_messages import PATH

        bridge = HostBridge(facts)
        AgentLine(Path(settings.state, PATH), bridge)
        return bridge

    def _more_owners(self, settings: Settings, config: Config) -> tuple[InternalJobOwner, ...]:
        """Return the owners of further internal jobs: the cluster's agent, if there is one."""
        if config.cluster is None or not settings.calendar:
            return ()
        from supervisor.cluster.agent_job import AgentJob

        return (AgentJob(settings.config, settings.state, settings.socket, config, self._log),)

    def _event_sources(self) -> tuple[EventSource, ...]:
        return ()

    def _held(self) -> frozenset[tuple[int, int]] | None:
        return None

    def _listen(self, settings: Settings, config: Config) -> Listening | None:
        """Open the TCP listener for metrics; return an error as a value, since jobs must run."""
        if config.metrics is None or not settings.calendar:
            return None
        try:
            self._api.open_metrics(config.metrics)
        except OSError as error:
            return Listening(config.metrics, error.strerror or str(error))
        return Listening(config.metrics, "")

    def run(self, until_idle: bool = False) -> None:
        """Serve until stopped, then close everything."""
        try:
            self.loop.run(until_idle)
        finally:
            self.close()

    def close(self) -> None:
        """End all processes, the API and the ledger; an error in one step skips no other."""
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

    def _report_startup(self, refused: tuple[Problem, ...], swept: process_tree.Swept) -> None:
        if swept.killed:
            named, strays = "; ".join(swept.killed[:20]), format_count(len(swept.killed), "stray")
            self._note("warning", f"killed {strays} of a dead predecessor: {named}")
        if swept.left:
            named = "; ".join(swept.left[:20])
            self._note("error", f"strays of a dead predecessor survive SIGKILL: {named}")
        for text in self._put_aside:
            self._note("warning", text)
        if self._notify.error:
            self._note("warning", self._notify.error)
        if refused:
            self._note("error", "jobs.yaml is refused; the last good text of it runs")

    def _note(self, level: str, text: str) -> None:
        self._log.note(self.loop.read_clocks().wall, Note(level, text))


def _load(settings: Settings, folder: StateDir) -> FirstText:
    """Read jobs.yaml, or the last accepted text of it. Raises: ConfigError."""
    # `run --local` rarely has a client; it imports the API when one connects.
    meanwhile = server.load if settings.calendar else None
    reading = load_in_child(settings.config, os.environ, folder.cache, meanwhile=meanwhile)
    loaded = reading.loaded
    if loaded.config is not None:
        save_accepted_text(folder, loaded.text)
        return FirstText(loaded.config, reading.found, loaded.sha256)
    if not settings.strict and settings.calendar and os.path.exists(folder.accepted):
        earlier = load_in_child(settings.config, os.environ, folder.cache, folder.accepted)
        if earlier.loaded.config is not None:
            config = earlier.loaded.config
            return FirstText(config, reading.found, loaded.sha256, loaded.problems)
    raise ConfigError(loaded.problems)


def keeper_settings(folder: StateDir, umask: int) -> dict[str, Any]:
    """Return how keepers start processes; allow this process descriptors for many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    return {
        "variables": {"TMPDIR": str(folder.tmp)},
        "umask": umask,
        "limits": [(resource.RLIMIT_NOFILE, soft, hard)],
    }


def initial_facts(settings: Settings) -> Facts:
    """Return what a service knows of itself before it reads anything."""
    now = datetime.now(UTC)
    return Facts(
        version=__version__,
        pid=os.getpid(),
        started_at=now,
        config_path=str(settings.config),
        config_loaded_at=now,
    )
