"""`run --local`: a supervisor in this process that schedules nothing by itself.

The main thread runs the loop. A second thread polls the published state a few times a
second and displays it; it never writes to it.
"""

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from supervisor.api.bridge import LoopBridge
from supervisor.cli import output
from supervisor.cli.command import paths
from supervisor.cli.commands.start import begun, grace_s, level
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import echo, say_output
from supervisor.cli.paths import Paths
from supervisor.cli.run_options import RunOptions
from supervisor.cli.watch_runs import Display, display, print_outcomes
from supervisor.config import load
from supervisor.containment import run_log
from supervisor.core import build_views, control_requests
from supervisor.core.config_model import Config
from supervisor.core.model import Peer
from supervisor.core.state import SchedulerState
from supervisor.core.views import RunView
from supervisor.ledger.queries import History
from supervisor.ledger.unattended import connect
from supervisor.service import Service, Settings
from supervisor.state_dir import StateDir

LOOK_EVERY_S = 0.2
_NO = {
    control_requests.ReplyStatus.UNKNOWN: ExitCode.USAGE,
    control_requests.ReplyStatus.BAD: ExitCode.USAGE,
}
_encode = msgspec.json.Encoder(enc_hook=str).encode


def run_local(run_options: RunOptions) -> int:
    """Run the jobs in this process until none is open; exit status 0 only if all succeeded.

    Raises:
        CliError: the configuration or the request is rejected.
    """
    jobs = definitions(paths().config).jobs if run_options.every else ()
    if run_options.every and not run_options.is_confirmed(
        run_options.chosen(jobs), sys.stdin.isatty()
    ):
        echo("nothing is run")
        return ExitCode.NO
    return serve(
        _request(run_options), run_options.as_json, run_options.dry_run, run_options.log_level
    )


def serve(
    request: control_requests.Request,
    as_json: bool,
    shows_output: bool = False,
    log_level: str | None = None,
) -> int:
    """Start a service, submit one request, and stop when no run is open.

    shows_output: print the output of the runs, as a dry run needs.

    Raises:
        CliError: another supervisor is running, or the request is rejected.
    """
    here = paths()
    service = begun(_settings(here, log_level), here.config)
    service.loop.install_signals()
    numbers = _asked(service, request)
    shown = display(as_json)
    onlooker = ProgressThread(service.bridge, numbers, shown)
    onlooker.poll()
    onlooker.start()
    try:
        service.run(until_idle=True)
    finally:
        onlooker.close()
        shown.close()
    if shows_output and not as_json:
        for number in numbers:
            kept = run_log.join(StateDir(here.state).runs, number)
            say_output(kept.decode(errors="replace").rstrip())
    succeeded = print_outcomes(_bodies(here.state, numbers), as_json)
    return ExitCode.YES if succeeded else ExitCode.NO


class ProgressThread(threading.Thread):
    """Thread that displays the runs of this request from the published state."""

    def __init__(self, bridge: LoopBridge, numbers: Sequence[int], shown: Display) -> None:
        super().__init__(name="onlooker", daemon=True)
        self._bridge, self._numbers, self._shown = bridge, numbers, shown
        self._known: dict[int, str] = {}
        self._over = threading.Event()

    def run(self) -> None:
        """Poll until `close` is called."""
        while not self._over.wait(LOOK_EVERY_S):
            self.poll()

    def poll(self) -> None:
        """Show the runs as last published by the loop."""
        if self._bridge.scheduler is not None:
            self._shown.show(self._runs(self._bridge.scheduler))

    def close(self) -> None:
        """Stop the thread and show the final state."""
        self._over.set()
        self.join()
        self.poll()

    def _runs(self, scheduler: SchedulerState) -> list[RunView]:
        found = []
        for number in self._numbers:
            run = scheduler.runs.get(number)
            if run is not None:
                self._known[number] = run.job
                found.append(build_views.open_run(scheduler, run))
            elif (
                last := scheduler.last_run.get(self._known.get(number, ""))
            ) and last.id == number:
                found.append(build_views.run_view(last))
        return found


def _settings(here: Paths, log_level: str | None) -> Settings:
    return Settings(
        config=here.config.absolute(),
        state=here.state,
        socket=here.socket,
        strict=True,
        shutdown_grace_s=grace_s(None),
        log_level=level(log_level, "warning"),
        calendar=False,
    )


def definitions(config: Path) -> Config:
    """Return the configuration in jobs.yaml, before any lock is taken.

    Raises:
        CliError: jobs.yaml has errors.
    """
    loaded = load(config, os.environ)
    if loaded.config is None:
        said = output.in_lines(loaded.problems, str(config))
        raise CliError(ExitCode.USAGE, "\n".join(["jobs.yaml is refused", *said]))
    return loaded.config


def _request(run_options: RunOptions) -> control_requests.Request:
    if run_options.every:
        return control_requests.RunAll(run_options.only)
    given = msgspec.json.encode(run_options.parameters).decode()
    return control_requests.RunJobs(
        run_options.jobs, run_options.with_deps, given, run_options.dry_run
    )


def _asked(service: Service, request: control_requests.Request) -> tuple[int, ...]:
    """Return the ids of the runs that the request opened.

    Raises:
        CliError: the request is rejected; the service is closed.
    """
    answer = service.bridge.submit(Peer(os.getuid(), os.getpid()), request)
    # An idle loop would end at once under until_idle, before the request arrives.
    service.loop.once()
    reply: control_requests.Reply = answer.result(timeout=0)
    if reply.answer is not control_requests.ReplyStatus.OK:
        service.close()
        raise CliError(_NO.get(reply.answer, ExitCode.NO), reply.error, reply.hint)
    return reply.runs


def _bodies(state: Path, numbers: Sequence[int]) -> list[bytes]:
    """Return the runs in the form of `GET /v1/runs/{run}`."""
    history = History(state, connect=connect)
    try:
        runs = [history.run(number) for number in numbers]
        return [
            _encode(build_views.run_view(run, history.attempts(run.id))) for run in runs if run
        ]
    finally:
        history.close()
