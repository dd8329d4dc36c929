"""Seek the leadership, and keep a leader process for as long as this host has it.

The leadership is a job of the engine. A holder whose heartbeat does not change for three
of its intervals is replaced; its commits are fenced, so nothing has to be awaited.
"""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from supervisor.cluster import engine, session
from supervisor.cluster.agent_settings import VARIABLE, AgentSettings, LeaderSettings
from supervisor.cluster.glance import Glance, Leading
from supervisor.cluster.hosts import UNSEEN
from supervisor.cluster.log_file import LogFile
from supervisor.cluster.session import Connection
from supervisor.cluster.shared_ledger import Leadership
from supervisor.cluster.texts import Texts

# For a leader process to end.
END_S = 1.5
# A leader needs time to begin before it writes heartbeats itself.
START_S = 10.0
# After a leader process of this host has ended, others may try first.
REST_S = 2.0
_BEGIN = """
import sys
sys.path.insert(0, sys.argv[1])
from supervisor.cluster.leader import main
main()
"""


class Candidate:
    """This host as a candidate, or with its leader process."""

    def __init__(self, settings: AgentSettings, log: LogFile) -> None:
        self._settings, self._log = settings, log
        self._queue = session.queue_of(settings.schema, "leader")
        self._socket = settings.folder / "leader.sock"
        self._watch = UNSEEN
        self._leadership: Leadership | None = None
        self._process: subprocess.Popen[str] | None = None
        self._again_at = self._began_at = 0.0

    @property
    def leads(self) -> bool:
        """Return whether the leader process of this host lives and can be asked."""
        is_alive = self._process is not None and self._process.poll() is None
        return is_alive and self._socket.exists()

    def look(self, db: Connection, seen: Glance, texts: Texts, may_lead: bool) -> None:
        """Take the leadership if it is free, or return it if the leader has ended.

        Raises: psycopg.Error.
        """
        if self._process is not None and self._process.poll() is not None:
            self._log.write(f"the leader process ended with status {self._process.returncode}")
            self._process = None
            self._again_at = time.monotonic() + REST_S
        if self._process is None and self._leadership is not None:
            self._give_back(db, self._leadership)
            self._leadership = None
        elif self._leadership is not None and time.monotonic() < self._began_at + START_S:
            engine.beat(db, self._leadership.worker)
        if self._process is None and may_lead and time.monotonic() >= self._again_at:
            self._seek(db, seen, texts)

    def end(self) -> None:
        """End the leader process, and wait for it; `look` returns the leadership."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def stand_down(self) -> None:
        """End the leader process; the leadership is given back by the next look."""
        if self._process is not None:
            self._process.terminate()
            self._again_at = time.monotonic() + 5 * self._settings.cluster.heartbeat_s

    def _seek(self, db: Connection, seen: Glance, texts: Texts) -> None:
        assert texts.config is not None
        if seen.leading is None or not self._is_free(db, seen.leading):
            return
        with db.transaction():
            worker = engine.register(db)
            found = engine.fetch(db, [self._queue], worker, 1)
            if not found:
                engine.unregister(db, worker)
                return
            (job,) = found
            db.execute(
                "INSERT INTO shared VALUES ('leading_host', %s)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (self._settings.host,),
            )
        self._leadership = Leadership(job.id, worker, job.attempts)
        self._start(LeaderSettings(self._settings, self._leadership, texts.config, texts.sha256))

    def _is_free(self, db: Connection, leading: Leading) -> bool:
        """Return whether nobody leads; free the leadership of a holder that is silent."""
        if leading.status != "doing":
            return True
        worker, heartbeat = leading.worker or 0, leading.heartbeat
        beat_s, mono = self._settings.cluster.heartbeat_s, time.monotonic()
        beats = {} if heartbeat is None else {worker: heartbeat}
        self._watch = self._watch.look(beats, mono, 3 * beat_s)
        if heartbeat is not None and self._watch.silent_s(worker, mono) < 3 * beat_s:
            return False
        with db.transaction():
            if heartbeat is not None and not (
                engine.is_unchanged(db, worker, heartbeat)
                and engine.is_held(db, leading.job, worker)
            ):
                return False
            engine.unregister(db, worker)
            engine.give_back(db, leading.job)
        self._log.write("the leader was silent: its leadership is free")
        return True

    def _give_back(self, db: Connection, leadership: Leadership) -> None:
        with db.transaction():
            if engine.is_held(db, leadership.job, leadership.worker):
                engine.give_back(db, leadership.job)
            engine.unregister(db, leadership.worker)

    def _start(self, settings: LeaderSettings) -> None:
        self._socket.unlink(missing_ok=True)  # of a leader that was killed
        environ = {**os.environ, VARIABLE: msgspec.json.encode(settings).decode()}
        command = [sys.executable, "-X", "utf8", "-P", "-c", _BEGIN]
        command.append(str(Path(__file__).parents[2]))
        self._process = subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._began_at = time.monotonic()
        self._log.write(f"this host leads, as leader {settings.leadership.epoch + 1}")
        threading.Thread(target=self._copy_output, args=(self._process,), daemon=True).start()

    def _copy_output(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._log.copy(line.rstrip("\n"))
