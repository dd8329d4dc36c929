"""The supervisor's side of nursery and keepers: launches out, events in.

One thread, never waiting: every descriptor stands in the loop's selector, and
the loop calls `ready` for those that can be read. Decides nothing about runs;
an attempt is (run id, attempt number) here.

The law: of each launch come, in this order, either `LaunchFailed` alone, or
`Started`, any number of `Said`, `Exited`, `Emptied`. Where a keeper or the
nursery died, `Lost` stands for whatever is missing of `Started` and `Exited`; and
where something survives SIGKILL, `Survived` stands for `Emptied`.
"""

import contextlib
import os
import selectors
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from supervisor.containment import orders, packet_events, packets, refusals, tree
from supervisor.containment.callbacks import Callbacks, Happened
from supervisor.containment.nurse import Nurse, settings
from supervisor.containment.places import Key, Place, Told
from supervisor.core import effects, events
from workers import protocol

IDLE_KEEPERS = 16
# So long after the last word of any process idle keepers, 2 MB each, are sent away.
REST_S = 3.0
# While runs live, so often is looked whether their keepers and the nursery can act.
LOOK_S = 0.75
CLOSE_S = 0.5
LAST_S = 0.1  # for what is left when the nursery has ended as it should
END_S = 2.0  # for what is left when it has died
_LAST_TURNS = 4
_NO_NURSERY = (
    "the process that starts runs ended at once: is the system short of memory or processes?"
)


class Processes:
    """Every process of every run.

    house: what each run's environment carries besides, such as TMPDIR.
    umask, limits: what runs get back where the supervisor changed its own;
        limits as (resource, soft, hard).
    spare: pids of children that somebody else waits for.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        runs_dir: Path,
        instance: str,
        house: Mapping[str, str] | None = None,
        umask: int | None = None,
        limits: Sequence[tuple[int, int, int]] = (),
        spare: Collection[int] = (),
    ) -> None:
        self.strays_killed = 0
        self.keeper_deaths = 0
        self.rest_at: float | None = None  # monotonic: when idle keepers are sent away
        self._look_at: float | None = None
        self._house = {**(house or {}), "NIGHTSHIFT_INSTANCE": instance}
        self._settings = settings(runs_dir, instance, umask, limits)
        self._spare = spare
        self._nurse: Nurse | None = None
        self._places: dict[int, Place] = {}  # until swept, or sent away
        self._free: list[Place] = []
        self._taken: dict[Key, Place] = {}
        self._last_number = 0
        self._callbacks = Callbacks(selector, self)

    def start(self) -> None:
        """Start the nursery; from the main thread, whose end would be its own.

        Raises:
            OSError: it cannot be exec'd.
        """
        self._nurse = Nurse(self._settings, {**os.environ, **self._house})
        self._callbacks.add(self._nurse.control.fileno(), self._hear_nursery)
        with contextlib.suppress(OSError):  # the first launch will say why
            self._release(self._new_place())  # which need not wait for its keeper's birth

    def launch(self, launch: effects.Launch, at: events.At) -> Happened:
        """Begin an attempt; nothing yet, or that it cannot even be tried."""
        key = (launch.run.id, launch.run.attempt)
        self._look_at = self._look_at or at.mono + LOOK_S
        speaks = launch.job.worker is not None
        try:
            self._hand_over(key, orders.order(launch, self._house), speaks)
        except packets.TooLarge as error:
            return [events.LaunchFailed(at, *key, f"the definition is too large: {error}")]
        except ConnectionError:  # the nursery is dead, and its socket has yet to say so
            if self._nurse is None or self._nurse.was_ready:
                return [events.Lost(at, *key), events.Emptied(at, *key)]
            return [events.LaunchFailed(at, *key, _NO_NURSERY)]
        except OSError as error:
            return [events.LaunchFailed(at, *key, refusals.process_refused(error))]
        except ValueError as error:
            return [events.LaunchFailed(at, *key, str(error))]
        return []

    def signal(self, run: int, attempt: int, force: effects.Force) -> None:
        """Use force on a living attempt; one that is gone is left alone."""
        place = self._taken.get((run, attempt))
        if place is None:
            return
        if force is effects.Force.ABANDON:
            self._abandon(place)
        elif not place.is_lost:
            self._urge(place, force)

    def ready(self, key: selectors.SelectorKey, at: events.At) -> Happened:
        """What came on a descriptor that the selector calls readable."""
        self.rest_at = at.mono + REST_S
        return self._callbacks.call(key.fd, at)

    def reap(self) -> None:
        """After a SIGCHLD: continue a stopped nursery, reap what fell to us as a subreaper."""
        nursery = [self._nurse.pid] if self._nurse else []
        if self._nurse:
            self._nurse.go_on_if_stopped()
        tree.reap([*nursery, *self._spare])

    def next_instant(self) -> float | None:
        """When `rest` has something to do, monotonic; None: nothing by itself."""
        return min((at for at in (self.rest_at, self._look_at) if at is not None), default=None)

    def rest(self, at: events.At) -> None:
        """Look after keepers and nursery, and send idle keepers away when it is quiet.

        All but one are sent away: the next run will want it.
        """
        if self._look_at is not None and at.mono >= self._look_at:
            self._look_at = at.mono + LOOK_S if self._taken else None
            if self._nurse is not None:
                self._nurse.look_after(
                    {place.pid: place.number for place in self._places.values()}
                )
        if self.rest_at is not None and at.mono >= self.rest_at:
            self.rest_at = None
            for place in self._free[1:]:
                self._part(place)

    def living(self) -> frozenset[Key]:
        """The attempts whose trees are not known to be empty."""
        return frozenset(self._taken)

    def close(self) -> list[str]:
        """End every tree, the keepers and the nursery; waits for them, within limits.

        What survives SIGKILL is named: `pid argv` of each.
        """
        for place in list(self._places.values()):
            self._part(place)
        self._taken.clear()
        if self._nurse is not None:
            self._callbacks.remove(self._nurse.control.fileno())
            self._nurse.end(CLOSE_S)
            self._nurse = None
        return tree.survivors(tree.end_children(self._spare, LAST_S))

    # --- places ---------------------------------------------------------------

    def _new_place(self) -> Place:
        assert self._nurse is not None
        self._last_number += 1
        place = Place(self._last_number, self._nurse.bear(self._last_number))
        self._places[place.number] = place
        self._callbacks.add(place.control.fileno(), lambda at: self._hear_keeper(place, at))
        return place

    def _hand_over(self, key: Key, order: bytes, speaks: bool) -> None:
        """Give an order to the first keeper that is not dead."""
        while True:
            if self._nurse is None:
                self.start()
            is_new = not self._free
            place = self._new_place() if is_new else self._free.pop()
            try:
                place.hand_over(order, speaks)
            except ConnectionError:
                self._part(place)
                if is_new:
                    raise
                self.keeper_deaths += 1
            except (OSError, packets.TooLarge):
                self._release(place)
                raise
            else:
                break
        place.key = key
        self._taken[key] = place

    def _urge(self, place: Place, force: effects.Force) -> None:
        if self._nurse is None:
            return
        try:
            packets.send(place.control, b'{"force":"%s"}' % force.value.encode())
        except BlockingIOError:  # it has not read for very long
            self._nurse.kill(place.number)
        except OSError:  # it is dead, which its socket will say
            return
        if force is effects.Force.KILL:  # a keeper that was stopped would never hear it
            self._nurse.wake(place.number)

    def _abandon(self, place: Place) -> None:
        """Kill the keeper, too; the nursery kills its tree, and tells what becomes of it."""
        if self._nurse is not None:
            self._nurse.kill(place.number)

    def _release(self, place: Place) -> None:
        """The keeper is free again; send it away if there are enough of them."""
        place.key = None
        place.exited = False
        if len(self._free) < IDLE_KEEPERS:
            self._free.append(place)
        else:
            self._part(place)

    def _part(self, place: Place) -> None:
        """Hang up and forget; a keeper that lives kills what it holds and goes."""
        self._hang_up(place)
        self._places.pop(place.number, None)
        if place in self._free:
            self._free.remove(place)

    def _hang_up(self, place: Place) -> None:
        self._close_mail(place)
        if not place.is_lost:
            place.is_lost = True
            self._callbacks.remove(place.control.fileno())
            place.control.close()

    # --- what is heard --------------------------------------------------------

    def _hear_keeper(self, place: Place, at: events.At) -> Happened:
        happened: Happened = []
        try:
            told, is_there = place.hear()
        except msgspec.MsgspecError:
            told, is_there = [], False
            if self._nurse is not None:
                self._nurse.kill(place.number)
        for packet in told:
            if place.key is not None:
                happened += self._understand(place, place.key, packet, at)
        return happened if is_there else happened + self._lose(place, at)

    def _understand(self, place: Place, key: Key, told: Told, at: events.At) -> Happened:
        happened: Happened = []
        if told.pid is not None:
            happened.append(events.Started(at, *key, told.pid))
            if place.mail is not None and told.status is None:  # not before it has started
                self._callbacks.add(place.mail.fd, lambda at: self._hear_worker(place, at))
        if told.status is not None:
            happened += self._last_words(place, key, at)
            happened.append(events.Exited(at, *key, told.status, told.exit_cpu_s))
            place.exited = True
        if told.tail:
            happened.append(events.Said(at, *key, protocol.Log("info", told.tail)))
        if told.emptied:
            self.strays_killed += len(told.strays)
            happened.append(packet_events.emptied(told, key, at))
        if told.failed is not None:
            self._close_mail(place)
            happened.append(events.LaunchFailed(at, *key, told.failed))
        if told.emptied or told.failed is not None:
            del self._taken[key]
            self._release(place)
        return happened

    def _hear_worker(self, place: Place, at: events.At) -> Happened:
        if place.mail is None or place.key is None:
            return []
        heard, more = place.mail.read()
        if not more:
            self._close_mail(place)
        return packet_events.said(heard, place.key, at)

    def _last_words(self, place: Place, key: Key, at: events.At) -> Happened:
        heard = place.rest()
        self._close_mail(place)
        return packet_events.said(heard, key, at)

    def _close_mail(self, place: Place) -> None:
        if place.mail is not None:
            if place.mail.fd in self._callbacks:
                self._callbacks.remove(place.mail.fd)
            os.close(place.mail.fd)
            place.mail = None

    # --- deaths ---------------------------------------------------------------

    def _lose(self, place: Place, at: events.At) -> Happened:
        """A keeper is dead; the nursery will say when nothing is left of its tree."""
        self.keeper_deaths += 1
        if place.key is None:
            self._part(place)
            return []
        happened = self._last_words(place, place.key, at)
        self._hang_up(place)
        # Under a nursery that never began there was no keeper to lose.
        has_begun = self._nurse is None or self._nurse.was_ready
        if not place.exited and has_begun:
            happened.append(events.Lost(at, *place.key))
        return happened

    def _swept(self, place: Place, at: events.At) -> Happened:
        """Nothing lives of a keeper or its tree; its own last packets come first."""
        happened = self._last_packets(place, at)
        if place.key is not None:
            del self._taken[place.key]
            happened.append(events.Emptied(at, *place.key))
        return happened

    def _survived(self, place: Place, left: tuple[str, ...], at: events.At) -> Happened:
        """A keeper is dead, and some of these, which SIGKILL does not end, were its tree."""
        happened = self._last_packets(place, at)
        if place.key is not None:
            del self._taken[place.key]
            happened.append(events.Survived(at, *place.key, left))
        return happened

    def _last_packets(self, place: Place, at: events.At) -> Happened:
        happened: Happened = []
        for _ in range(_LAST_TURNS):
            if not place.is_lost:
                happened += self._hear_keeper(place, at)
        if not place.is_lost:
            happened += self._lose(place, at)
        self._part(place)
        return happened

    def _hear_nursery(self, at: events.At) -> Happened:
        assert self._nurse is not None
        try:
            told = self._nurse.hear()
        except BlockingIOError:
            return []
        if told is None:
            return self._lose_nursery(self._nurse, at)
        if told.survived:
            found = [self._places[number] for number in told.survived if number in self._places]
            return [event for place in found for event in self._survived(place, told.left, at)]
        place = self._places.get(told.swept or told.unborn or told.born)
        if place is None:
            return []
        if told.born:
            place.pid = told.pid
            return []
        return self._not_begun(place, told.error, at) if told.unborn else self._swept(place, at)

    def _not_begun(self, place: Place, error: str, at: events.At) -> Happened:
        """There never was a keeper in this place, so nothing of its run has begun."""
        key = place.key
        self._part(place)
        if key is None:
            return []
        del self._taken[key]
        return [events.LaunchFailed(at, *key, error)]

    def _lose_nursery(self, nurse: Nurse, at: events.At) -> Happened:
        """The nursery is dead; all that it and its keepers left has fallen to us."""
        self._callbacks.remove(nurse.control.fileno())
        nurse.shoot()
        self._nurse = None
        left = tuple(tree.survivors(tree.end_children(self._spare, END_S)))
        nurse.end(0)
        happened: Happened = []
        for place in list(self._places.values()):
            if not nurse.was_ready:
                happened += self._not_begun(place, _NO_NURSERY, at)
            elif left:
                happened += self._survived(place, left, at)
            else:
                happened += self._swept(place, at)
        if nurse.was_ready:  # one that cannot even begin is tried again at the next launch
            with contextlib.suppress(OSError):
                self.start()
        return happened

    def let_go(self, fd: int, at: events.At) -> Happened:
        """Hear no more of a descriptor that nobody can listen to; its attempt is lost."""
        if self._nurse is not None and fd == self._nurse.control.fileno():
            return self._lose_nursery(self._nurse, at)
        for place in list(self._places.values()):
            mail = -1 if place.mail is None else place.mail.fd
            if fd == mail or (not place.is_lost and fd == place.control.fileno()):
                key = place.key
                self._part(place)
                if key is None or self._taken.pop(key, None) is None:
                    return []
                return [events.Lost(at, *key), events.Emptied(at, *key)]
        if fd in self._callbacks:
            self._callbacks.remove(fd)
        return []
