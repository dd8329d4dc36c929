"""run --local: the ordinary supervisor in this process, with the calendar off.

The main thread is the loop. Another one looks at the published world a few
times a second and shows it: it reads, and touches nothing.
"""

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from supervisor.api.bridge import Desk
from supervisor.cli import answers, output
from supervisor.cli.command import places
from supervisor.cli.commands.start import begun, grace_s, level
from supervisor.cli.errors import Exit, Failure
from supervisor.cli.output import say, say_output
from supervisor.cli.paths import Places
from supervisor.cli.run_options import Wish
from supervisor.cli.watch_runs import Display, display, give_account
from supervisor.config import load
from supervisor.containment import run_log
from supervisor.core import build_views, control_requests
from supervisor.core.model import Config, Peer
from supervisor.core.state import World
from supervisor.core.views import RunView
from supervisor.ledger.queries import History
from supervisor.service import Service, Settings
from supervisor.state_dir import StateFolder

LOOK_EVERY_S = 0.2
_NO = {control_requests.Answer.UNKNOWN: Exit.USAGE, control_requests.Answer.BAD: Exit.USAGE}
_encode = msgspec.json.Encoder(enc_hook=str).encode


def run_local(wish: Wish) -> int:
    """Run them here until nothing is open; 0 only if all succeeded. Raises: Failure."""
    jobs = definitions(places().config).jobs if wish.every else ()
    if wish.every and not wish.is_confirmed(wish.chosen(jobs), sys.stdin.isatty()):
        say("nothing is run")
        return Exit.NO
    return serve(_request(wish), wish.as_json, wish.dry_run, wish.log_level)


def serve(
    request: control_requests.Request,
    as_json: bool,
    shows_output: bool = False,
    log_level: str | None = None,
) -> int:
    """Begin a service, hand it one request, and leave when nothing is open.

    shows_output: print what the runs printed, as a dry run wants it.

    Raises:
        Failure: another supervisor lives, or the request is refused.
    """
    here = places()
    service = begun(_settings(here, log_level), here.config)
    service.loop.install_signals()
    numbers = _asked(service, request)
    shown = display(as_json)
    onlooker = Onlooker(service.desk, numbers, shown)
    onlooker.look()
    onlooker.start()
    try:
        service.run(until_idle=True)
    finally:
        onlooker.close()
        shown.close()
    if shows_output and not as_json:
        for number in numbers:
            kept = run_log.join(StateFolder(here.state).runs, number)
            say_output(kept.decode(errors="replace").rstrip())
    succeeded = give_account(_bodies(here.state, numbers), as_json)
    return Exit.YES if succeeded else Exit.NO


class Onlooker(threading.Thread):
    """Shows the runs of this request, as the loop publishes them."""

    def __init__(self, desk: Desk, numbers: Sequence[int], shown: Display) -> None:
        super().__init__(name="onlooker", daemon=True)
        self._desk, self._numbers, self._shown = desk, numbers, shown
        self._known: dict[int, str] = {}
        self._over = threading.Event()

    def run(self) -> None:
        """Look, until told that all is over."""
        while not self._over.wait(LOOK_EVERY_S):
            self.look()

    def look(self) -> None:
        """Show the world as it was last published."""
        if self._desk.world is not None:
            self._shown.show(self._runs(self._desk.world))

    def close(self) -> None:
        """Show the end, and look no more."""
        self._over.set()
        self.join()
        self.look()

    def _runs(self, world: World) -> list[answers.Run]:
        found = []
        for number in self._numbers:
            run = world.runs.get(number)
            if run is not None:
                self._known[number] = run.job
                found.append(_shown(build_views.open_run(world, run)))
            elif (last := world.last.get(self._known.get(number, ""))) and last.id == number:
                found.append(_shown(build_views.run_view(last)))
        return found


def _settings(here: Places, log_level: str | None) -> Settings:
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
    """What jobs.yaml says, before anything is held. Raises: Failure."""
    loaded = load(config, os.environ)
    if loaded.config is None:
        said = output.in_lines(loaded.problems, str(config))
        raise Failure(Exit.USAGE, "\n".join(["jobs.yaml is refused", *said]))
    return loaded.config


def _request(wish: Wish) -> control_requests.Request:
    if wish.every:
        return control_requests.RunAll(wish.only)
    given = msgspec.json.encode(wish.parameters).decode()
    return control_requests.RunJobs(wish.jobs, wish.with_deps, given, wish.dry_run)


def _asked(service: Service, request: control_requests.Request) -> tuple[int, ...]:
    """The runs that the request opened. Raises: Failure, with the service closed."""
    answer = service.desk.ask(Peer(os.getuid(), os.getpid()), request)
    # An idle loop that is to run until it is idle would end before it was asked.
    service.loop.once()
    reply: control_requests.Reply = answer.result(timeout=0)
    if reply.answer is not control_requests.Answer.OK:
        service.close()
        raise Failure(_NO.get(reply.answer, Exit.NO), reply.error, reply.hint)
    return reply.runs


def _bodies(state: Path, numbers: Sequence[int]) -> list[bytes]:
    """The runs as `GET /v1/runs/{id}` shows them."""
    history = History(state)
    try:
        runs = [history.run(number) for number in numbers]
        return [
            _encode(build_views.run_view(run, history.attempts(run.id))) for run in runs if run
        ]
    finally:
        history.close()


def _shown(run: RunView) -> answers.Run:
    return answers.read(_encode(run), answers.Run)
