"""The fork server and its keepers: which are idle, and which has which attempt.

Owns their sockets and pipes, and adds them to the loop's selector. Knows what a keeper is
doing, but makes no events: `processes.py` reads the packets.
"""

import contextlib
import os
from collections.abc import Callable, Collection, Iterable, Mapping

from supervisor.containment import ipc, process_tree
from supervisor.containment.callbacks import Callback, Callbacks, Happened
from supervisor.containment.fork_server_client import ForkServerClient
from supervisor.containment.keeper_client import KeeperHandle, Key
from supervisor.containment.message_pipe import ReceivedMessages
from supervisor.core import effects, events

IDLE_KEEPERS = 16
CLOSE_S = 0.5
LAST_S = 0.1  # for what is left after a clean exit of the fork server
END_S = 2.0  # for what is left after its death


class KeeperPool:
    """The fork server, its idle keepers, and those that have an attempt.

    settings: of the fork server (`fork_server_client.settings`).
    variables: variables added to the supervisor's environment for the fork server.
    spare: pids of children that other code waits for.
    on_fork_server: called when the fork server's socket is readable.
    on_keeper: called with the keeper whose socket is readable.
    """

    def __init__(
        self,
        callbacks: Callbacks,
        settings: Mapping[str, object],
        variables: Mapping[str, str],
        spare: Collection[int],
        on_fork_server: Callback,
        on_keeper: Callable[[KeeperHandle, events.At], Happened],
    ) -> None:
        self.keeper_deaths = 0
        self.fork_server: ForkServerClient | None = None
        self._callbacks = callbacks
        self._settings = settings
        self._variables = variables
        self._spare = spare
        self._on_fork_server = on_fork_server
        self._on_keeper = on_keeper
        self._by_number: dict[int, KeeperHandle] = {}  # until swept or ended
        self._by_attempt: dict[Key, KeeperHandle] = {}
        self._idle: list[KeeperHandle] = []
        self._last_number = 0

    # --- the fork server ------------------------------------------------------

    def start(self) -> None:
        """Start the fork server. Call from the main thread: it dies with the calling thread.

        Raises:
            OSError: it cannot be executed.
        """
        self.fork_server = ForkServerClient(self._settings, {**os.environ, **self._variables})
        self._callbacks.add(self.fork_server.control.fileno(), self._on_fork_server)
        self.expect(1)

    def has_begun(self) -> bool:
        """Return whether the fork server became ready; one that never did has no runs."""
        return self.fork_server is None or self.fork_server.was_ready

    def reap(self) -> None:
        """Handle SIGCHLD: continue a stopped fork server, reap orphans that we adopted."""
        fork_server = [self.fork_server.pid] if self.fork_server else []
        if self.fork_server:
            self.fork_server.go_on_if_stopped()
        process_tree.reap([*fork_server, *self._spare])

    def look_after(self) -> None:
        """Continue a stopped fork server and stopped keepers; kill those that stay stopped."""
        if self.fork_server is not None:
            self.fork_server.look_after(
                {keeper.pid: keeper.number for keeper in self._by_number.values()}
            )

    def end_lost_fork_server(self, lost: ForkServerClient) -> tuple[str, ...]:
        """Kill a fork server that is gone and all that we inherit of it.

        Return `pid argv` of each process that survives SIGKILL.
        """
        self._callbacks.remove(lost.control.fileno())
        lost.shoot()
        self.fork_server = None
        left = process_tree.survivors(process_tree.end_children(self._spare, END_S))
        lost.end(0)
        return tuple(left)

    def close(self) -> list[str]:
        """End every tree, the keepers and the fork server, and wait for them within limits.

        Return `pid argv` of each process that survives SIGKILL.
        """
        for keeper in self.keepers():
            self.drop(keeper)
        self._by_attempt.clear()
        if self.fork_server is not None:
            self._callbacks.remove(self.fork_server.control.fileno())
            self.fork_server.end(CLOSE_S)
            self.fork_server = None
        return process_tree.survivors(process_tree.end_children(self._spare, LAST_S))

    # --- attempts -------------------------------------------------------------

    def assign(self, key: Key, order: bytes, sends_messages: bool) -> None:
        """Send the order of an attempt to the first keeper that is not dead.

        Raises:
            PacketTooLargeError: no keeper has received the order.
            ConnectionError: the fork server is dead.
            OSError: no descriptors or processes are left.
        """
        while True:
            if self.fork_server is None:
                self.start()
            is_new = not self._idle
            keeper = self._new_keeper() if is_new else self._idle.pop()
            try:
                keeper.hand_over(order, sends_messages)
            except ConnectionError:
                self.drop(keeper)
                if is_new:
                    raise
                self.keeper_deaths += 1
            except (OSError, ipc.PacketTooLargeError):
                self._release(keeper)
                raise
            else:
                break
        keeper.key = key
        self._by_attempt[key] = keeper

    def living(self) -> frozenset[Key]:
        """Return the attempts whose trees are not known to be empty."""
        return frozenset(self._by_attempt)

    def signal(self, key: Key, force: effects.KillStep) -> None:
        """Apply force to a living attempt; ignore one that is gone."""
        keeper = self._by_attempt.get(key)
        if keeper is None:
            return
        if force is effects.KillStep.ABANDON and self.fork_server is not None:
            self.kill(keeper)  # the fork server kills its tree, and reports
        elif not keeper.is_lost:
            self._send_force(keeper, force)

    def finish(self, keeper: KeeperHandle, key: Key) -> None:
        """Make the keeper of an attempt that has ended idle."""
        del self._by_attempt[key]
        self._release(keeper)

    def take_attempt(self, keeper: KeeperHandle) -> Key | None:
        """Return the attempt of a keeper, which no longer has it; None: it had none."""
        key = keeper.key
        return None if key is None or self._by_attempt.pop(key, None) is None else key

    # --- keepers --------------------------------------------------------------

    def keepers(self) -> list[KeeperHandle]:
        """Return all keepers, also the dead ones whose trees are not known to be empty."""
        return list(self._by_number.values())

    def numbered(self, numbers: Iterable[int]) -> list[KeeperHandle]:
        """Return the keepers of these numbers; leave out those that are forgotten."""
        return [self._by_number[number] for number in numbers if number in self._by_number]

    def reading(self, fd: int) -> KeeperHandle | None:
        """Return the keeper whose socket or pipe this is."""
        for keeper in self.keepers():
            mail = -1 if keeper.mail is None else keeper.mail.fd
            if fd == mail or (not keeper.is_lost and fd == keeper.control.fileno()):
                return keeper
        return None

    def expect(self, launches: int) -> None:
        """Have keepers for this many launches, which will come soon."""
        with contextlib.suppress(OSError):  # the first launch reports the reason
            while self.fork_server is not None and len(self._idle) < min(launches, IDLE_KEEPERS):
                self._release(self._new_keeper())

    def end_idle(self) -> None:
        """End all idle keepers but one."""
        for keeper in self._idle[1:]:
            self.drop(keeper)

    def kill(self, keeper: KeeperHandle) -> None:
        """Kill a keeper; the fork server inherits its tree, and reports when it is gone."""
        if self.fork_server is not None:
            self.fork_server.kill(keeper.number)

    def drop(self, keeper: KeeperHandle) -> None:
        """Close the socket and forget; a living keeper kills its tree and exits."""
        self.close_handle(keeper)
        self._by_number.pop(keeper.number, None)
        if keeper in self._idle:
            self._idle.remove(keeper)

    def close_handle(self, keeper: KeeperHandle) -> None:
        """Close the socket and the pipe of a keeper, which is lost from now on."""
        self.close_pipe(keeper)
        if not keeper.is_lost:
            keeper.is_lost = True
            self._callbacks.remove(keeper.control.fileno())
            keeper.control.close()

    def drain_pipe(self, keeper: KeeperHandle) -> list[ReceivedMessages]:
        """Return the last messages of a worker that has ended, and close its pipe."""
        messages = keeper.shrink()
        self.close_pipe(keeper)
        return messages

    def close_pipe(self, keeper: KeeperHandle) -> None:
        """Close the pipe of a worker's messages, if there is one."""
        if keeper.mail is not None:
            if keeper.mail.fd in self._callbacks:
                self._callbacks.remove(keeper.mail.fd)
            os.close(keeper.mail.fd)
            keeper.mail = None

    def _new_keeper(self) -> KeeperHandle:
        assert self.fork_server is not None
        self._last_number += 1
        keeper = KeeperHandle(self._last_number, self.fork_server.spawn_keeper(self._last_number))
        self._by_number[keeper.number] = keeper
        self._callbacks.add(keeper.control.fileno(), lambda at: self._on_keeper(keeper, at))
        return keeper

    def _send_force(self, keeper: KeeperHandle, force: effects.KillStep) -> None:
        if self.fork_server is None:
            return
        try:
            ipc.send(keeper.control, b'{"force":"%s"}' % force.value.encode())
        except BlockingIOError:  # its socket is full
            self.kill(keeper)
        except OSError:  # it is dead; end of file will follow
            return
        if force is effects.KillStep.KILL:  # a stopped keeper would not read it
            self.fork_server.wake(keeper.number)

    def _release(self, keeper: KeeperHandle) -> None:
        """Return a keeper to the idle ones; end it if there are enough."""
        keeper.key = None
        keeper.exited = False
        if len(self._idle) < IDLE_KEEPERS:
            self._idle.append(keeper)
        else:
            self.drop(keeper)
