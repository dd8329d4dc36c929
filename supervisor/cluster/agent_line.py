"""The supervisor's end of the line to its agent: attempts to run, and how far they are.

A UNIX socket in the state folder that only this user may open. The agent sends lists of
`Assign`; the supervisor answers each, and says by itself when a process has begun and when
all processes of an attempt are gone. A line is JSON, and no request waits for another: in a
minute with many attempts this costs a tenth of the same over HTTP.
"""

import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, wait
from pathlib import Path

import msgspec

from supervisor.api.bridge import LoopBridge
from supervisor.cluster.agent_messages import Answer, Assign
from supervisor.core import build_views
from supervisor.core.control_requests import AssignRun, Reply, ReplyStatus
from supervisor.core.model import Peer
from supervisor.core.state import SchedulerState
from supervisor.core.views import Facts

# The loop answers within milliseconds.
REPLY_S = 10.0
# After an error, so that a lack of descriptors costs no core.
_REST_S = 0.05
_PIECE = 65536


class HostBridge(LoopBridge):
    """A bridge that also wakes the line's thread when an attempt begins or ends."""

    def __init__(self, facts: Facts) -> None:
        self.changed_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._seen: SchedulerState | None = None
        super().__init__(facts)

    @property
    def scheduler(self) -> SchedulerState | None:
        """Return the published state."""
        return self._seen

    @scheduler.setter
    def scheduler(self, after: SchedulerState | None) -> None:
        before, self._seen = self._seen, after
        if before is None or after is None or before.live_attempts is not after.live_attempts:
            os.eventfd_write(self.changed_fd, 1)


class AgentLine:
    """The thread that serves the agent."""

    def __init__(self, path: Path, bridge: HostBridge) -> None:
        """Listen at `path`. Raises: OSError."""
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.unlink(missing_ok=True)
        self._bridge = bridge
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(4)
        threading.Thread(target=self._serve, name="agent-line", daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                self._serve_one()
            except (OSError, msgspec.MsgspecError):
                # No descriptor is free, or the agent is gone or said what is no message.
                time.sleep(_REST_S)
            except Exception:
                # The agent connects again; without this thread the host would run nothing.
                logging.getLogger("nightshift").exception("line of the cluster's agent")

    def _serve_one(self) -> None:
        agent, _ = self._listener.accept()
        agent.settimeout(REPLY_S)
        with agent:
            _Agent(self._bridge, agent).serve()


class _Agent:
    """One connection of the agent; a new one makes the agent give everything again."""

    def __init__(self, bridge: HostBridge, agent: socket.socket) -> None:
        self._bridge, self._agent = bridge, agent
        self._peer = Peer(os.getuid(), 0)
        # By fence: the run here, its job, and what was last said of it.
        self._watched: dict[int, tuple[int, str, int | None, bool]] = {}

    def serve(self) -> None:
        """Serve until the connection ends. Raises: OSError, msgspec.MsgspecError."""
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._agent, selectors.EVENT_READ)
            selector.register(self._bridge.changed_fd, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._agent in ready:
                    piece = self._agent.recv(_PIECE)
                    if not piece:
                        return
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        self._assign(msgspec.json.decode(line, type=list[Assign]))
                if self._bridge.changed_fd in ready:
                    os.eventfd_read(self._bridge.changed_fd)
                    self._send(self._changed())

    def _assign(self, given: list[Assign]) -> None:
        asked = [(each, self._submit(each)) for each in given]
        wait([future for _, future in asked], REPLY_S)
        answers = []
        for assign, future in asked:
            reply = future.result(0)
            if reply.answer is ReplyStatus.OK:
                self._watched[assign.key.fence] = reply.runs[0], assign.job, None, False
            else:
                answers.append(Answer(assign.key.fence, error=reply.error or reply.answer))
        self._send([*answers, *self._changed(is_all=[each.key.fence for each in given])])

    def _submit(self, given: Assign) -> "Future[Reply]":
        set_json = msgspec.json.encode(given.set).decode()
        wanted = AssignRun(given.job, given.key, given.due, set_json, given.dry_run)
        return self._bridge.submit(self._peer, wanted)

    def _changed(self, is_all: Iterable[int] = ()) -> list[Answer]:
        """Return what is new of the watched runs, and where `is_all` of these stand."""
        scheduler, wanted, answers = self._bridge.scheduler, set(is_all), []
        if scheduler is None:
            return []
        for fence, (number, job, pid, is_final) in list(self._watched.items()):
            answer = _answer(scheduler, fence, number, job)
            if answer is None or answer.run is None:
                continue
            now = answer.run.pid or pid, answer.run.is_final
            if now != (pid, is_final) or answer.is_over or fence in wanted:
                answers.append(answer)
            self._watched[fence] = number, job, *now
            if answer.is_over:
                del self._watched[fence]
        return answers

    def _send(self, answers: list[Answer]) -> None:
        if answers:
            self._agent.sendall(msgspec.json.encode(answers, enc_hook=str) + b"\n")


def _answer(scheduler: SchedulerState, fence: int, number: int, job: str) -> Answer | None:
    """Return where a run stands; None if it is neither open nor the last one of its job."""
    run = scheduler.runs.get(number)
    if run is not None:
        return Answer(fence, build_views.open_run(scheduler, run))
    last = scheduler.last_assigned.get(job)
    if last is None or last.id != number:
        return None
    return Answer(fence, build_views.run_view(last), number not in scheduler.live_attempts)
