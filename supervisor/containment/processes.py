"""The processes of all runs: launches in, events out.

One thread, never blocking: every descriptor is in the loop's selector, and the loop
calls `ready` for readable ones. Decides nothing about runs. An attempt is a
(run id, attempt number) pair.

Invariant: each launch yields either `LaunchFailed` alone, or `Started`, any number of
`MessageReceived`, `Exited`, `TreeEmpty`, in this order. If a keeper or the fork server
died, `KeeperLost` replaces what is missing of `Started` and `Exited`. If a process
survives SIGKILL, `Survived` replaces `TreeEmpty`.
"""

import contextlib
import selectors
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from supervisor.containment import ipc, launch_errors, launch_spec
from supervisor.containment.callbacks import Callbacks, Happened
from supervisor.containment.fork_server_client import ForkServerClient, settings
from supervisor.containment.keeper_client import KeeperHandle, KeeperPacket, Key
from supervisor.containment.keeper_events import message_events, packet_events
from supervisor.containment.keeper_pool import KeeperPool
from supervisor.containment.message_pipe import ReceivedMessages
from supervisor.core import effects, events

# Idle keepers, 2 MB each, are ended this long after the last event of any process.
REST_S = 3.0
# How often keepers and fork server are checked for being stopped while runs are alive.
LOOK_S = 0.75
_LAST_TURNS = 4
_NO_FORK_SERVER = (
    "the process that starts runs ended at once: is the system short of memory or processes?"
)


class Processes:
    """The processes of all runs.

    variables: variables added to each run's environment, such as TMPDIR.
    umask, limits: original values that runs get back; limits as (resource, soft, hard).
    spare: pids of children that other code waits for.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        runs_dir: Path,
        instance: str,
        variables: Mapping[str, str] | None = None,
        umask: int | None = None,
        limits: Sequence[tuple[int, int, int]] = (),
        spare: Collection[int] = (),
    ) -> None:
        self.strays_killed = 0
        self.rest_at: float | None = None  # monotonic: when idle keepers are ended
        self._look_at: float | None = None
        self._variables = {**(variables or {}), "NIGHTSHIFT_INSTANCE": instance}
        self._callbacks = Callbacks(selector, self)
        self._pool = KeeperPool(
            self._callbacks,
            settings(runs_dir, instance, umask, limits),
            self._variables,
            spare,
            self._on_fork_server_packet,
            self._on_keeper_packet,
        )

    @property
    def keeper_deaths(self) -> int:
        """Return how many keepers have died before their time."""
        return self._pool.keeper_deaths

    def start(self) -> None:
        """Start the fork server. Call from the main thread: it dies with the calling thread.

        Raises:
            OSError: it cannot be executed.
        """
        self._pool.start()

    def expect(self, launches: int) -> None:
        """Have keepers for this many launches, which will come soon."""
        self._pool.expect(launches)

    def launch(self, launch: effects.Launch, at: events.At) -> Happened:
        """Start an attempt; return no events, or the reason why it could not be tried."""
        key = (launch.run.id, launch.run.attempt)
        self._look_at = self._look_at or at.mono + LOOK_S
        sends_messages = launch.job.worker is not None
        try:
            self._pool.assign(
                key, launch_spec.launch_order(launch, self._variables), sends_messages
            )
        except ipc.PacketTooLargeError as error:
            return [events.LaunchFailed(at, *key, f"the definition is too large: {error}")]
        except ConnectionError:  # the fork server is dead, but its end of file not yet read
            if self._pool.has_begun():
                return [events.KeeperLost(at, *key), events.TreeEmpty(at, *key)]
            return [events.LaunchFailed(at, *key, _NO_FORK_SERVER)]
        except OSError as error:
            return [events.LaunchFailed(at, *key, launch_errors.process_refused(error))]
        except ValueError as error:
            return [events.LaunchFailed(at, *key, str(error))]
        return []

    def signal(self, run: int, attempt: int, force: effects.KillStep) -> None:
        """Apply force to a living attempt; ignore one that is gone."""
        self._pool.signal((run, attempt), force)

    def ready(self, key: selectors.SelectorKey, at: events.At) -> Happened:
        """Return the events of a descriptor that the selector reports as readable."""
        self.rest_at = at.mono + REST_S
        return self._callbacks.call(key.fd, at)

    def let_go(self, fd: int, at: events.At) -> Happened:
        """Stop watching a descriptor that cannot be read; its attempt is lost."""
        fork_server = self._pool.fork_server
        if fork_server is not None and fd == fork_server.control.fileno():
            return self._on_fork_server_lost(fork_server, at)
        keeper = self._pool.reading(fd)
        if keeper is not None:
            self._pool.drop(keeper)
            key = self._pool.take_attempt(keeper)
            return [] if key is None else [events.KeeperLost(at, *key), events.TreeEmpty(at, *key)]
        if fd in self._callbacks:
            self._callbacks.remove(fd)
        return []

    def reap(self) -> None:
        """Handle SIGCHLD: continue a stopped fork server, reap orphans that we adopted."""
        self._pool.reap()

    def next_instant(self) -> float | None:
        """Return the monotonic time at which `shrink_idle` has work; None if there is none."""
        return min((at for at in (self.rest_at, self._look_at) if at is not None), default=None)

    def shrink_idle(self, at: events.At) -> None:
        """Check keepers and fork server; end all but one idle keeper when nothing happens."""
        if self._look_at is not None and at.mono >= self._look_at:
            self._look_at = at.mono + LOOK_S if self._pool.living() else None
            self._pool.look_after()
        if self.rest_at is not None and at.mono >= self.rest_at:
            self.rest_at = None
            self._pool.end_idle()

    def living(self) -> frozenset[Key]:
        """Return the attempts whose trees are not known to be empty."""
        return self._pool.living()

    def close(self) -> list[str]:
        """End every tree, the keepers and the fork server, and wait for them within limits.

        Return `pid argv` of each process that survives SIGKILL.
        """
        return self._pool.close()

    # --- packets and messages of keepers --------------------------------------

    def _on_keeper_packet(self, keeper: KeeperHandle, at: events.At) -> Happened:
        happened: Happened = []
        try:
            packets, is_there = keeper.receive()
        except msgspec.MsgspecError:
            packets, is_there = [], False
            self._pool.kill(keeper)
        for packet in packets:
            if keeper.key is not None:
                happened += self._apply(packet, keeper, keeper.key, at)
        return happened if is_there else happened + self._on_keeper_lost(keeper, at)

    def _apply(
        self, packet: KeeperPacket, keeper: KeeperHandle, key: Key, at: events.At
    ) -> Happened:
        """Follow a keeper's packet; return its events."""
        last_messages: list[ReceivedMessages] = []
        if packet.status is not None:
            last_messages = self._pool.drain_pipe(keeper)
            keeper.exited = True
        elif packet.pid is not None and keeper.mail is not None:  # only after it has started
            self._callbacks.add(keeper.mail.fd, lambda at: self._on_worker_message(keeper, at))
        if packet.failed is not None:
            self._pool.close_pipe(keeper)
        if packet.emptied or packet.failed is not None:
            self.strays_killed += len(packet.strays)
            self._pool.finish(keeper, key)
        return packet_events(packet, last_messages, key, at)

    def _on_worker_message(self, keeper: KeeperHandle, at: events.At) -> Happened:
        if keeper.mail is None or keeper.key is None:
            return []
        messages, more = keeper.mail.read()
        if not more:
            self._pool.close_pipe(keeper)
        return message_events(messages, keeper.key, at)

    def _on_keeper_lost(self, keeper: KeeperHandle, at: events.At) -> Happened:
        """Handle a keeper's death; the fork server reports when its tree is gone."""
        self._pool.keeper_deaths += 1
        if keeper.key is None:
            self._pool.drop(keeper)
            return []
        happened = message_events(self._pool.drain_pipe(keeper), keeper.key, at)
        self._pool.close_handle(keeper)
        # A fork server that never became ready had no keeper to lose.
        if not keeper.exited and self._pool.has_begun():
            happened.append(events.KeeperLost(at, *keeper.key))
        return happened

    # --- packets of the fork server, and its death ----------------------------

    def _on_fork_server_packet(self, at: events.At) -> Happened:
        fork_server = self._pool.fork_server
        assert fork_server is not None
        try:
            packet = fork_server.receive()
        except BlockingIOError:
            return []
        if packet is None:
            return self._on_fork_server_lost(fork_server, at)
        happened: Happened = []
        for keeper in self._pool.numbered(packet.survived):
            happened += self._survived(keeper, packet.left, at)
        for keeper in self._pool.numbered((packet.born,)):
            keeper.pid = packet.pid
        for keeper in self._pool.numbered((packet.unborn,)):
            happened += self._not_begun(keeper, packet.error, at)
        for keeper in self._pool.numbered((packet.swept,)):
            happened += self._swept(keeper, at)
        return happened

    def _on_fork_server_lost(self, lost: ForkServerClient, at: events.At) -> Happened:
        """Handle the fork server's death: kill all that we inherit, then restart it."""
        left = self._pool.end_lost_fork_server(lost)
        happened: Happened = []
        for keeper in self._pool.keepers():
            if not lost.was_ready:
                happened += self._not_begun(keeper, _NO_FORK_SERVER, at)
            elif left:
                happened += self._survived(keeper, left, at)
            else:
                happened += self._swept(keeper, at)
        if lost.was_ready:  # if it never became ready, the next launch restarts it
            with contextlib.suppress(OSError):
                self._pool.start()
        return happened

    def _swept(self, keeper: KeeperHandle, at: events.At) -> Happened:
        """Return the events for a keeper whose tree is gone; its last packets come first."""
        happened = self._last_packets(keeper, at)
        key = self._pool.take_attempt(keeper)
        return happened if key is None else [*happened, events.TreeEmpty(at, *key)]

    def _survived(self, keeper: KeeperHandle, left: tuple[str, ...], at: events.At) -> Happened:
        """Return the events for a dead keeper; SIGKILL's survivors in its tree are in `left`."""
        happened = self._last_packets(keeper, at)
        key = self._pool.take_attempt(keeper)
        return happened if key is None else [*happened, events.Survived(at, *key, left)]

    def _not_begun(self, keeper: KeeperHandle, error: str, at: events.At) -> Happened:
        """Return the events for a keeper that was never forked: nothing of its run has begun."""
        self._pool.drop(keeper)
        key = self._pool.take_attempt(keeper)
        return [] if key is None else [events.LaunchFailed(at, *key, error)]

    def _last_packets(self, keeper: KeeperHandle, at: events.At) -> Happened:
        happened: Happened = []
        for _ in range(_LAST_TURNS):
            if not keeper.is_lost:
                happened += self._on_keeper_packet(keeper, at)
        if not keeper.is_lost:
            happened += self._on_keeper_lost(keeper, at)
        self._pool.drop(keeper)
        return happened
