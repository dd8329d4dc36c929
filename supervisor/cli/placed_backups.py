"""Copies in places other than the backup folder: what `nightshift backups --place` does.

A place is one of the `copies` in jobs.yaml, with its settings and the environment of its
job, or a URL whose credentials are in the environment of this process.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from supervisor.cli.command import paths
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.run_local import definitions
from supervisor.core.config_model import Job
from workers.backup import repository, selection
from workers.backup.errors import BackupError
from workers.backup.listing import Backup
from workers.backup.places import catalogue, notes, sealing
from workers.backup.places.catalogue import PlacedCopy
from workers.backup.places.fetch import AlteredError, check, fetch
from workers.backup.places.object_names import AGE
from workers.backup.places.open_store import open_store
from workers.backup.places.place import Kind, Place
from workers.backup.verify import verify
from workers.params import ParamsError, parse
from workers.rotation import Policy, Pruned, placed

ALL = "all"
_WORKERS = ("backup.run", "rotation.run")


def places(wanted: str) -> list[Place]:
    """Return the place of this name, or with `all` every one that jobs.yaml names.

    Raises:
        CliError: it is no place, or jobs.yaml names none.
    """
    known = _configured(must=wanted == ALL)
    if wanted == ALL:
        if not known:
            hint = "`copies` of a backup.run job names places; --place URL one of your own"
            raise CliError(ExitCode.USAGE, "jobs.yaml names no place of copies", hint)
        return [_ready(*one) for one in known.values()]
    found = known.get(wanted.rstrip("/"))
    if found is not None:
        return [_ready(*found)]
    try:
        return [Place(wanted)]
    except ValueError as error:
        hint = "it is the text of `to`" + "".join(f"; {name}" for name in known)
        raise CliError(ExitCode.USAGE, f"--place {wanted}: {error}", hint) from error


def copies(wanted: str) -> tuple[list[Backup], list[str]]:
    """Return the copies in these places, newest first, and an error for each dead place."""
    found, dead, meant = list[Backup](), list[str](), places(wanted)
    for place in meant:
        try:
            found += [one.backup for one in catalogue.placed_copies(open_store(place))]
        except BackupError as problem:
            if len(meant) == 1:
                raise
            dead.append(str(problem))
    return sorted(found, key=lambda one: one.order, reverse=True), dead


@dataclass(frozen=True, slots=True)
class Proven:
    """What reading a copy again found; error: empty if nothing is wrong.

    is_opened: whether it was unpacked and checked, too; not without the key of a sealed one.
    """

    file: str
    error: str
    is_opened: bool


def prove(wanted: str, file: Path | None, identity: Path | None) -> list[Proven]:
    """Read copies of a place again and compare them with what was sent.

    They are unpacked and checked like those of a backup folder; an encrypted one only with
    its private key.
    """
    verdicts = []
    for place in places(wanted):
        store = open_store(place)
        keys = [] if identity is None else sealing.identities(identity)
        for copy in _named(catalogue.placed_copies(store), file, place):
            is_opened = bool(keys) or not copy.data.endswith(AGE)
            try:
                if not is_opened:
                    check(store, copy, _no_step)
                else:
                    with tempfile.TemporaryDirectory(prefix="nightshift-") as folder:
                        verify(fetch(store, copy, keys, Path(folder), _no_step))
            except AlteredError as altered:
                notes.damaged(store, copy, altered.what)
                verdicts.append(Proven(copy.backup.shown, str(altered), False))
            except BackupError as problem:
                verdicts.append(Proven(copy.backup.shown, str(problem), False))
            else:
                notes.sound(store, copy)
                verdicts.append(Proven(copy.backup.shown, "", is_opened))
    return verdicts


def keep(wanted: str, file: Path, release: bool) -> str:
    """Exempt a copy from rotation, or no longer; return a sentence."""
    (place,) = _one(wanted)
    store = open_store(place)
    (copy,) = _named(catalogue.placed_copies(store), file, place)
    if release:
        was = notes.release(store, copy)
        return f"{copy.backup.shown}: {'rotation judges it again' if was else 'was not kept'}"
    notes.keep(store, copy)
    return f"{copy.backup.shown}: kept by hand"


def prune(wanted: str, keep_last: int, dry_run: bool) -> list[Pruned]:
    """Remove all but the newest verified copies of these places and those kept by hand."""
    done, now = [], datetime.now(UTC)
    for place in places(wanted):
        store = open_store(place)
        decided = placed.plan(store, place, Policy(last=keep_last), now, UTC)
        if dry_run:
            done.append(Pruned(tuple(one.decision for one in decided), 0, 0, ()))
        else:
            done.append(placed.carry_out(store, place, decided, now, lambda: None))
    return done


@contextmanager
def fetched(
    wanted: str,
    file: Path | None,
    at: str,
    database: Path | None,
    identity: Path | None,
    target: Path,
    zone: str,
) -> Iterator[Path]:
    """Bring a copy of a place into a folder beside the target, and yield its path there.

    file: its name; otherwise the newest verified one of the time `at`.
    """
    (place,) = _one(wanted)
    store = open_store(place)
    known = catalogue.placed_copies(store)
    keys = [] if identity is None else sealing.identities(identity)
    if file is not None:
        (copy,) = _named(known, file, place)
    else:
        of_one = selection.of_database([one.backup for one in known], database)
        chosen = selection.choose(of_one, at, datetime.now(UTC), zone)
        copy = next(one for one in known if one.backup is chosen)
    beside = repository.existing(target.absolute().parent)
    prefix = f".{target.name}.fetched-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=beside) as folder:
        yield fetch(store, copy, keys, Path(folder), _no_step)


def _named(known: Sequence[PlacedCopy], file: Path | None, place: Place) -> list[PlacedCopy]:
    """Return the copy of that name, or all of them without a name."""
    if file is None:
        return list(known)
    found = [one for one in known if file.name in (one.data, one.backup.path.name)]
    if not found:
        raise BackupError(f"{place.to} has no copy {file.name}; see: nightshift backups --place")
    return found[:1]


def _one(wanted: str) -> list[Place]:
    if wanted == ALL:
        raise CliError(ExitCode.USAGE, "--place all: expected one place", "name one by its URL")
    return places(wanted)


def _configured(must: bool) -> dict[str, tuple[Place, Job]]:
    """Return the places in jobs.yaml by name; without jobs.yaml none, unless it must be there."""
    try:
        jobs = definitions(paths().config).jobs
    except CliError:
        if must:
            raise
        return {}
    found: dict[str, tuple[Place, Job]] = {}
    for job in (job for job in jobs if job.worker in _WORKERS):
        for one in _listed(msgspec.json.decode(job.params_json).get("copies")):
            given = one if isinstance(one, dict) else {"to": str(one)}
            try:
                place = parse(Place, given)
            except ParamsError:
                continue  # `nightshift check` reports it
            found.setdefault(place.to.rstrip("/"), (place, job))
    return found


def _listed(given: Any) -> list[Any]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


def _ready(place: Place, job: Job) -> Place:
    """Take over the job's environment; return the place with paths relative to no folder."""
    os.environ.update(dict(job.env))
    config = None if place.ssh_config is None else Path(job.cwd, place.ssh_config)
    to = os.path.join(job.cwd, place.to) if place.kind is Kind.FOLDER else place.to
    return replace(place, to=to, ssh_config=config)


def _no_step(_done_bytes: int) -> None:
    """Ignore the progress."""
