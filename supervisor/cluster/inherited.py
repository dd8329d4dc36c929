"""What the leader before has left: assignments that live, and ends that it did not record.

An attempt that ended while nobody led must not count as one that was never handed out. Its
report waits, or its host was declared dead by a leader that died before the next turn.
"""

from typing import NamedTuple

import msgspec

from supervisor.cluster.messages import Ended, Report
from supervisor.cluster.session import Connection

Pair = tuple[int, int]  # run, attempt


class Living(NamedTuple):
    """An assignment that has not ended; is_taken: a host has fetched it."""

    run: int
    attempt: int
    fence: int
    job: str
    is_taken: bool


class Inherited(NamedTuple):
    """What a new leader finds. lost: attempts that ended with their hosts, by host."""

    living: tuple[Living, ...]
    reported: frozenset[Pair]
    lost: dict[Pair, str]

    @property
    def held(self) -> frozenset[Pair]:
        """Return every attempt that was handed out and whose end is not recorded."""
        living = {(each.run, each.attempt) for each in self.living}
        return self.reported | living | self.lost.keys()


def read(db: Connection) -> Inherited:
    """Return what is there now. Raises: psycopg.Error."""
    with db.transaction():
        db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        living = tuple(
            Living(*row)
            for row in db.execute(
                "SELECT run, attempt, fence, job, host IS NOT NULL FROM assignments"
                " WHERE ended_at IS NULL"
            )
        )
        unrecorded = {
            (run, attempt): host
            for run, attempt, host in db.execute(
                "SELECT run, assignments.attempt, coalesce(host, '') FROM assignments"
                " JOIN runs ON runs.id = run AND runs.attempt = assignments.attempt"
                " WHERE assignments.ended_at IS NOT NULL AND state = 'running'"
            )
        }
        reported = frozenset(_reported(db))
    lost = {pair: host for pair, host in unrecorded.items() if pair not in reported}
    return Inherited(living, reported & unrecorded.keys(), lost)


def _reported(db: Connection) -> list[Pair]:
    found = []
    for (body,) in db.execute("SELECT body FROM reports"):
        try:
            report: Report = msgspec.json.decode(body, type=Report)
        except msgspec.MsgspecError:
            continue  # of another version, or not from a host
        if isinstance(report, Ended):
            found.append((report.run, report.attempt))
    return found
