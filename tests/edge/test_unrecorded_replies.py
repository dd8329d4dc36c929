"""Replies to requests whose record the ledger could not write."""

import sqlite3
from concurrent.futures import Future
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from supervisor.api.bridge import LoopBridge
from supervisor.core import events as ev
from supervisor.core.config_model import Config
from supervisor.core.control_requests import PauseJob, Reply
from supervisor.core.decide import decide
from supervisor.core.model import Pause, Peer
from supervisor.core.state import SchedulerState
from supervisor.core.views import Facts
from supervisor.ledger.store import Store
from supervisor.ledger.write_queue import WriteQueue
from supervisor.log import ServiceLog
from supervisor.runtime.effects import Effects
from supervisor.runtime.internal_errors import InternalErrors

AT = ev.At(datetime(2026, 2, 9, 2, tzinfo=UTC), 10.0)


def paused(folder: Path, is_leader: bool) -> tuple[Reply, Pause | None, Pause | None]:
    """Request a pause while the ledger is locked; return the reply, the pause, and what is kept.

    Only the parts that a reply needs exist: no process, alert or heartbeat.
    """
    nothing: Any = None
    store, log = Store(folder), ServiceLog("error", as_json=False)
    queue, bridge = WriteQueue(store), LoopBridge(Facts("0", 1, AT.wall, "jobs.yaml", AT.wall))
    effects = Effects(queue, nothing, bridge, nothing, nothing, log, InternalErrors(log), nothing)
    answer: Future[Reply] = Future()
    effects.answers[1] = answer
    asked = ev.Requested(AT, 1, Peer(1000, 1), PauseJob("", None))
    scheduler, actions = decide(SchedulerState(Config(()), is_leader=is_leader), asked)
    with closing(sqlite3.connect(folder / "ledger.sqlite3")) as other:
        other.execute("BEGIN IMMEDIATE")
        follow = effects.perform(list(actions), scheduler, AT)
    assert [type(each) for each in follow] == [ev.LedgerWriteFailed]
    assert queue.flush(20.0) == ""
    kept = store.memory().paused
    store.close()
    log.close()
    return answer.result(timeout=0), scheduler.paused, kept


def test_on_a_single_host_it_holds_at_once_and_is_written_as_soon_as_that_is_possible(tmp_path):
    reply, pause, kept = paused(tmp_path, is_leader=False)

    assert (reply.answer, reply.error) == ("ok", "")
    assert pause == kept
    assert kept is not None


def test_a_leader_does_not_say_ok_to_what_the_next_leader_may_not_know(tmp_path):
    reply, _, _ = paused(tmp_path, is_leader=True)

    assert (reply.answer, "locked" in reply.error) == ("unavailable", True)
