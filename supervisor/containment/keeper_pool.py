"""The supervisor's side of fork server and keepers: launches in, events out.

One thread, never blocking: every descriptor is in the loop's selector, and the loop
calls `ready` for readable ones. Decides nothing about runs. An attempt is a
(run id, attempt number) pair.

Invariant: each launch yields either `LaunchFailed` alone, or `Started`, any number of
`MessageReceived`, `Exited`, `TreeEmpty`, in this order. If a keeper or the fork server
died, `KeeperLost` replaces what is missing of `Started` and `Exited`. If a process
survives SIGKILL, `Survived` replaces `TreeEmpty`.
"""

import contextlib
import os
import selectors
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from supervisor.containment import ipc, keeper_events, launch_errors, launch_spec, process_tree
from supervisor.containment.callbacks import Callbacks, Happened
from supervisor.containment.fork_server_client import ForkServerClient, settings
from supervisor.containment.keeper_client import KeeperHandle, KeeperPacket, Key
from supervisor.core import effects, events
from workers import protocol

IDLE_KEEPERS = 16
# Idle keepers, 2 MB each, are ended this long after the last event of any process.
REST_S = 3.0
# How often keepers and fork server are checked for being stopped while runs are alive.
LOOK_S = 0.75
CLOSE_S = 0.5
LAST_S = 0.1  # for what is left after a clean exit of the fork server
END_S = 2.0  # for what is left after its death
_LAST_TURNS = 4
_NO_FORK_SERVER = (
    "the process that starts runs ended at once: is the system short of memory or processes?"
)


class KeeperPool:
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
        self.keeper_deaths = 0
        self.rest_at: float | None = None  # monotonic: when idle keepers are ended
        self._look_at: float | None = None
        self._variables = {**(variables or {}), "NIGHTSHIFT_INSTANCE": instance}
        self._settings = settings(runs_dir, instance, umask, limits)
        self._spare = spare
        self._fork_server: ForkServerClient | None = None
        self._places: dict[int, KeeperHandle] = {}  # until swept or ended
        self._free: list[KeeperHandle] = []
        self._taken: dict[Key, KeeperHandle] = {}
        self._last_number = 0
        self._callbacks = Callbacks(selector, self)

    def start(self) -> None:
        """Start the fork server. Call from the main thread: it dies with the calling thread.

        Raises:
            OSError: it cannot be executed.
        """
        self._fork_server = ForkServerClient(self._settings, {**os.environ, **self._variables})
        self._callbacks.add(self._fork_server.control.fileno(), self._on_fork_server_packet)
        self.expect(1)

    def expect(self, launches: int) -> None:
        """Have keepers for this many launches, which will come soon."""
        with contextlib.suppress(OSError):  # the first launch reports the reason
            while self._fork_server is not None and len(self._free) < min(launches, IDLE_KEEPERS):
                self._release(self._new_keeper())

    def launch(self, launch: effects.Launch, at: events.At) -> Happened:
        """Start an attempt; return no events, or the reason why it could not be tried."""
        key = (launch.run.id, launch.run.attempt)
        self._look_at = self._look_at or at.mono + LOOK_S
        sends_messages = launch.job.worker is not None
        try:
            self._hand_over(key, launch_spec.launch_order(launch, self._variables), sends_messages)
        except ipc.PacketTooLargeError as error:
            return [events.LaunchFailed(at, *key, f"the definition is too large: {error}")]
        except ConnectionError:  # the fork server is dead, but its end of file not yet read
            if self._fork_server is None or self._fork_server.was_ready:
                return [events.KeeperLost(at, *key), events.TreeEmpty(at, *key)]
            return [events.LaunchFailed(at, *key, _NO_FORK_SERVER)]
        except OSError as error:
            return [events.LaunchFailed(at, *key, launch_errors.process_refused(error))]
        except ValueError as error:
            return [events.LaunchFailed(at, *key, str(error))]
        return []

    def signal(self, run: int, attempt: int, force: effects.KillStep) -> None:
        """Apply force to a living attempt; ignore one that is gone."""
        place = self._taken.get((run, attempt))
        if place is None:
            return
        if force is effects.KillStep.ABANDON and self._fork_server is not None:
            self._fork_server.kill(place.number)  # the fork server kills its tree, and reports
        elif not place.is_lost:
            self._send_force(place, force)

    def ready(self, key: selectors.SelectorKey, at: events.At) -> Happened:
        """Return the events of a descriptor that the selector reports as readable."""
        self.rest_at = at.mono + REST_S
        return self._callbacks.call(key.fd, at)

    def reap(self) -> None:
        """Handle SIGCHLD: continue a stopped fork server, reap orphans that we adopted."""
        fork_server = [self._fork_server.pid] if self._fork_server else []
        if self._fork_server:
            self._fork_server.go_on_if_stopped()
        process_tree.reap([*fork_server, *self._spare])

    def next_instant(self) -> float | None:
        """Return the monotonic time at which `shrink_idle` has work; None if there is none."""
        return min((at for at in (self.rest_at, self._look_at) if at is not None), default=None)

    def shrink_idle(self, at: events.At) -> None:
        """Check keepers and fork server; end all but one idle keeper when nothing happens."""
        if self._look_at is not None and at.mono >= self._look_at:
            self._look_at = at.mono + LOOK_S if self._taken else None
            if self._fork_server is not None:
                self._fork_server.look_after(
                    {place.pid: place.number for place in self._places.values()}
                )
        if self.rest_at is not None and at.mono >= self.rest_at:
            self.rest_at = None
            for place in self._free[1:]:
                self._drop(place)

    def living(self) -> frozenset[Key]:
        """Return the attempts whose trees are not known to be empty."""
        return frozenset(self._taken)

    def close(self) -> list[str]:
        """End every tree, the keepers and the fork server, and wait for them within limits.

        Return `pid argv` of each process that survives SIGKILL.
        """
        for place in list(self._places.values()):
            self._drop(place)
        self._taken.clear()
        if self._fork_server is not None:
            self._callbacks.remove(self._fork_server.control.fileno())
            self._fork_server.end(CLOSE_S)
            self._fork_server = None
        return process_tree.survivors(process_tree.end_children(self._spare, LAST_S))

    # --- keepers --------------------------------------------------------------

    def _new_keeper(self) -> KeeperHandle:
        assert self._fork_server is not None
        self._last_number += 1
        place = KeeperHandle(self._last_number, self._fork_server.spawn_keeper(self._last_number))
        self._places[place.number] = place
        self._callbacks.add(place.control.fileno(), lambda at: self._on_keeper_packet(place, at))
        return place

    def _hand_over(self, key: Key, order: bytes, sends_messages: bool) -> None:
        """Send an order to the first keeper that is not dead."""
        while True:
            if self._fork_server is None:
                self.start()
            is_new = not self._free
            place = self._new_keeper() if is_new else self._free.pop()
            try:
                place.hand_over(order, sends_messages)
            except ConnectionError:
                self._drop(place)
                if is_new:
                    raise
                self.keeper_deaths += 1
            except (OSError, ipc.PacketTooLargeError):
                self._release(place)
                raise
            else:
                break
        place.key = key
        self._taken[key] = place

    def _send_force(self, place: KeeperHandle, force: effects.KillStep) -> None:
        if self._fork_server is None:
            return
        try:
            ipc.send(place.control, b'{"force":"%s"}' % force.value.encode())
        except BlockingIOError:  # its socket is full
            self._fork_server.kill(place.number)
        except OSError:  # it is dead; end of file will follow
            return
        if force is effects.KillStep.KILL:  # a stopped keeper would not read it
            self._fork_server.wake(place.number)

    def _release(self, place: KeeperHandle) -> None:
        """Return a keeper to the idle ones; end it if there are enough."""
        place.key = None
        place.exited = False
        if len(self._free) < IDLE_KEEPERS:
            self._free.append(place)
        else:
            self._drop(place)

    def _drop(self, place: KeeperHandle) -> None:
        """Close the socket and forget; a living keeper kills its tree and exits."""
        self._close_handle(place)
        self._places.pop(place.number, None)
        if place in self._free:
            self._free.remove(place)

    def _close_handle(self, place: KeeperHandle) -> None:
        self._close_pipe(place)
        if not place.is_lost:
            place.is_lost = True
            self._callbacks.remove(place.control.fileno())
            place.control.close()

    # --- packets and messages -------------------------------------------------

    def _on_keeper_packet(self, place: KeeperHandle, at: events.At) -> Happened:
        happened: Happened = []
        try:
            packets, is_there = place.receive()
        except msgspec.MsgspecError:
            packets, is_there = [], False
            if self._fork_server is not None:
                self._fork_server.kill(place.number)
        for packet in packets:
            if place.key is not None:
                happened += self._to_events(place, place.key, packet, at)
        return happened if is_there else happened + self._on_keeper_lost(place, at)

    def _to_events(
        self, place: KeeperHandle, key: Key, packet: KeeperPacket, at: events.At
    ) -> Happened:
        happened: Happened = []
        if packet.pid is not None:
            happened.append(events.Started(at, *key, packet.pid))
            if place.mail is not None and packet.status is None:  # only after it has started
                self._callbacks.add(place.mail.fd, lambda at: self._on_worker_message(place, at))
        if packet.status is not None:
            happened += self._drain_messages(place, key, at)
            happened.append(events.Exited(at, *key, packet.status, packet.exit_cpu_s))
            place.exited = True
        if packet.tail:
            happened.append(events.MessageReceived(at, *key, protocol.Log("info", packet.tail)))
        if packet.emptied:
            self.strays_killed += len(packet.strays)
            happened.append(keeper_events.tree_empty_event(packet, key, at))
        if packet.failed is not None:
            self._close_pipe(place)
            happened.append(events.LaunchFailed(at, *key, packet.failed))
        if packet.emptied or packet.failed is not None:
            del self._taken[key]
            self._release(place)
        return happened

    def _on_worker_message(self, place: KeeperHandle, at: events.At) -> Happened:
        if place.mail is None or place.key is None:
            return []
        messages, more = place.mail.read()
        if not more:
            self._close_pipe(place)
        return keeper_events.message_event(messages, place.key, at)

    def _drain_messages(self, place: KeeperHandle, key: Key, at: events.At) -> Happened:
        messages = place.shrink()
        self._close_pipe(place)
        return keeper_events.message_event(messages, key, at)

    def _close_pipe(self, place: KeeperHandle) -> None:
        if place.mail is not None:
            if place.mail.fd in self._callbacks:
                self._callbacks.remove(place.mail.fd)
            os.close(place.mail.fd)
            place.mail = None

    # --- deaths of keepers and fork server ------------------------------------

    def _on_keeper_lost(self, place: KeeperHandle, at: events.At) -> Happened:
        """Handle a keeper's death; the fork server reports when its tree is gone."""
        self.keeper_deaths += 1
        if place.key is None:
            self._drop(place)
            return []
        happened = self._drain_messages(place, place.key, at)
        self._close_handle(place)
        # A fork server that never became ready had no keeper to lose.
        has_begun = self._fork_server is None or self._fork_server.was_ready
        if not place.exited and has_begun:
            happened.append(events.KeeperLost(at, *place.key))
        return happened

    def _swept(self, place: KeeperHandle, at: events.At) -> Happened:
        """Return the events for a keeper whose tree is gone; its last packets come first."""
        happened = self._last_packets(place, at)
        if place.key is not None:
            del self._taken[place.key]
            happened.append(events.TreeEmpty(at, *place.key))
        return happened

    def _survived(self, place: KeeperHandle, left: tuple[str, ...], at: events.At) -> Happened:
        """Return the events for a dead keeper; SIGKILL's survivors in its tree are in `left`."""
        happened = self._last_packets(place, at)
        if place.key is not None:
            del self._taken[place.key]
            happened.append(events.Survived(at, *place.key, left))
        return happened

    def _last_packets(self, place: KeeperHandle, at: events.At) -> Happened:
        happened: Happened = []
        for _ in range(_LAST_TURNS):
            if not place.is_lost:
                happened += self._on_keeper_packet(place, at)
        if not place.is_lost:
            happened += self._on_keeper_lost(place, at)
        self._drop(place)
        return happened

    def _on_fork_server_packet(self, at: events.At) -> Happened:
        assert self._fork_server is not None
        try:
            packet = self._fork_server.receive()
        except BlockingIOError:
            return []
        if packet is None:
            return self._on_fork_server_lost(self._fork_server, at)
        if packet.survived:
            found = [self._places[number] for number in packet.survived if number in self._places]
            return [event for place in found for event in self._survived(place, packet.left, at)]
        place = self._places.get(packet.swept or packet.unborn or packet.born)
        if place is None:
            return []
        if packet.born:
            place.pid = packet.pid
            return []
        return (
            self._not_begun(place, packet.error, at) if packet.unborn else self._swept(place, at)
        )

    def _not_begun(self, place: KeeperHandle, error: str, at: events.At) -> Happened:
        """Return the events for a keeper that was never forked: nothing of its run has begun."""
        key = place.key
        self._drop(place)
        if key is None:
            return []
        del self._taken[key]
        return [events.LaunchFailed(at, *key, error)]

    def _on_fork_server_lost(self, lost: ForkServerClient, at: events.At) -> Happened:
        """Handle the fork server's death: kill all that we inherit, then restart it."""
        self._callbacks.remove(lost.control.fileno())
        lost.shoot()
        self._fork_server = None
        left = tuple(process_tree.survivors(process_tree.end_children(self._spare, END_S)))
        lost.end(0)
        happened: Happened = []
        for place in list(self._places.values()):
            if not lost.was_ready:
                happened += self._not_begun(place, _NO_FORK_SERVER, at)
            elif left:
                happened += self._survived(place, left, at)
            else:
                happened += self._swept(place, at)
        if lost.was_ready:  # if it never became ready, the next launch restarts it
            with contextlib.suppress(OSError):
                self.start()
        return happened

    def let_go(self, fd: int, at: events.At) -> Happened:
        """Stop watching a descriptor that cannot be read; its attempt is lost."""
        if self._fork_server is not None and fd == self._fork_server.control.fileno():
            return self._on_fork_server_lost(self._fork_server, at)
        for place in list(self._places.values()):
            mail = -1 if place.mail is None else place.mail.fd
            if fd == mail or (not place.is_lost and fd == place.control.fileno()):
                key = place.key
                self._drop(place)
                if key is None or self._taken.pop(key, None) is None:
                    return []
                return [events.KeeperLost(at, *key), events.TreeEmpty(at, *key)]
        if fd in self._callbacks:
            self._callbacks.remove(fd)
        return []
