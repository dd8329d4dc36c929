"""Checks of folders: write permission, free space, and how jobs.yaml is mounted."""

import os
import pwd
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from supervisor.core.model import Run
from supervisor.doctor.context import DoctorContext, local_copies, path_in
from supervisor.doctor.finding import Finding, error, ok, warning
from supervisor.ledger import unattended
from supervisor.ledger.queries import History, RunFilter
from workers.units import format_days, format_size
from workers.volume import is_read_only, space

_DAY_S = 86400.0
# The period in which growth is measured, the days of growth that must fit, and the
# minimum free part of a volume.
SEEN, LEAST_DAYS, LEAST_RATIO = timedelta(days=30), 14.0, 0.05


@dataclass(frozen=True, slots=True)
class User:
    """The effective user, and the owner of the state folder (None: it does not exist)."""

    uid: int
    owner: int | None


@dataclass(frozen=True, slots=True)
class Place:
    """A folder or file to which the service writes.

    writable: if it is missing, whether it can be created. read_only: whether its file
    system is mounted read-only. made_by_us: whether the service creates it if missing.
    """

    path: Path
    exists: bool
    writable: bool
    read_only: bool
    made_by_us: bool


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume.

    written_a_day: bytes, without deletions; None: nothing measured yet.
    """

    folder: Path
    free_bytes: int
    used_bytes: int
    written_a_day: float | None

    @property
    def days(self) -> float | None:
        """Return the days until the volume is full at this rate."""
        return self.free_bytes / self.written_a_day if self.written_a_day else None


@dataclass(frozen=True, slots=True)
class Mount:
    """jobs.yaml (None: it does not exist), and whether the file itself is a mount point."""

    file: Path | None
    is_mount_point: bool


def user(context: DoctorContext) -> User:
    """Return the effective user, and the owner of the state folder."""
    try:
        return User(os.geteuid(), context.state.stat().st_uid)
    except OSError:
        return User(os.geteuid(), None)


def judge_user(found: User) -> Iterator[Finding]:
    """Check that the command runs as the user of the service: permissions depend on it."""
    if found.owner in (None, found.uid):
        yield ok(_name(found.uid))
        return
    again = f"sudo -u {shlex.quote(_sudo_name(found.owner or 0))} nightshift doctor"
    yield warning(
        f"{_name(found.uid)}, and the state folder belongs to {_name(found.owner or 0)}",
        "the user of the service: these findings are of another user",
        again,
    )


def state(context: DoctorContext) -> list[Place]:
    """Return the state folder and its contents: ledger, output of runs, files of jobs."""
    inside = [context.state / name for name in ("runs", "tmp", "cache", "lock")]
    inside = [path for path in (context.ledger, *inside) if os.path.lexists(path)]
    return [_place(context.state, True), *(_place(path, True) for path in inside)]


def backups(context: DoctorContext) -> list[Place]:
    """Return the folders of backups.

    The folder of a second copy is never created: it may be an unmounted volume.
    """
    found: dict[Path, Place] = {}
    for job, given in context.of_worker("backup.run"):
        main = path_in(job, given["directory"])
        found.setdefault(main, _place(main, os.path.exists(main.parent)))
        for text in local_copies(given):
            found.setdefault(path_in(job, text), _place(path_in(job, text), False))
    return list(found.values())


def judge_places(places: Iterable[Place]) -> Iterator[Finding]:
    """Report all writable places in one finding, and each other place in its own."""
    fine = []
    for place in places:
        named = shlex.quote(str(place.path))
        if not place.exists and not place.made_by_us:
            yield error(f"{place.path} is not there", "a folder", f"mkdir -p {named}, or mount it")
        elif place.read_only:
            remedy = f"mount it writable (mount -o remount,rw, a volume without :ro): {named}"
            yield error(f"{place.path} is on a read-only file system", "a writable one", remedy)
        elif not place.writable:
            who = _name(os.geteuid())
            what = place.path if place.exists else place.path.parent
            remedy = (
                f"chown -R {os.geteuid()} {shlex.quote(str(what))}, if it is the service's user"
            )
            yield error(f"{who} may not write {what}", "leave to write", remedy)
        else:
            fine.append(str(place.path))
    if fine:
        inside = f" and {len(fine) - 1} more" if len(fine) > 1 else ""
        yield ok(f"{fine[0]}{inside}, writable")


def disks(context: DoctorContext) -> list[Volume]:
    """Return each volume to which the service writes, with the rate taken from the ledger."""
    folders = [context.state]
    for job, given in context.of_worker("backup.run"):
        folders += [path_in(job, text) for text in (given["directory"], *local_copies(given))]
    rates = _rates(context)
    volumes: dict[int, Volume] = {}
    for folder in folders:
        there = _there(folder)
        number, rate = there.stat().st_dev, rates.get(folder)
        if number in volumes:
            known = volumes[number]
            volumes[number] = Volume(
                known.folder, known.free_bytes, known.used_bytes, _sum(known.written_a_day, rate)
            )
            continue
        found = space(there)
        volumes[number] = Volume(folder, found.free_bytes, found.used_bytes, rate)
    return list(volumes.values())


def judge_disks(volumes: Iterable[Volume]) -> Iterator[Finding]:
    """Check that each volume has room for two weeks, assuming nothing is deleted."""
    for volume in volumes:
        free = f"{format_size(volume.free_bytes)} free at {volume.folder}"
        total = volume.free_bytes + volume.used_bytes
        if total and volume.free_bytes / total < LEAST_RATIO:
            yield error(free, f"{LEAST_RATIO:.0%} of {format_size(total)}", _room(volume.folder))
        elif volume.days is None or volume.written_a_day is None:
            yield ok(f"{free}; no growth seen yet")
        else:
            rate = f"{format_size(volume.written_a_day)} a day are written"
            value = f"{free}: {format_days(volume.days)} ({rate}, if nothing were removed)"
            if volume.days < LEAST_DAYS:
                yield error(value, f"{LEAST_DAYS:.0f} days", _room(volume.folder))
            else:
                yield ok(value)


def mount(context: DoctorContext) -> Mount:
    """Return whether jobs.yaml is a mount point, according to /proc/self/mountinfo."""
    if context.file is None:
        return Mount(None, False)
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    points = {_unescaped(line.split()[4]) for line in mounts}
    return Mount(context.file, os.path.realpath(context.file) in points)


def judge_mount(found: Mount) -> Iterator[Finding]:
    """Check that jobs.yaml is not a mount point: such a mount hides an editor's rename."""
    if found.file is None:
        yield ok("not mounted, since it is not there")
    elif found.is_mount_point:
        folder = found.file.absolute().parent
        yield error(
            f"{found.file} is mounted as a single file: an edit that renames is never seen",
            "its folder mounted",
            f"-v ./{folder.name}:{folder}:ro in place of the file, then the container anew",
        )
    else:
        yield ok(f"{found.file} lies in a folder, and is looked at by content (no inotify)")


def _place(path: Path, made_by_us: bool) -> Place:
    exists = os.path.exists(path)
    there = _there(path)
    try:
        read_only = is_read_only(there)
        writable = os.access(there, os.W_OK | (os.X_OK * there.is_dir()), effective_ids=True)
    except OSError:
        return Place(path, exists, False, False, made_by_us)
    return Place(path, exists, writable, read_only, made_by_us)


def _there(path: Path) -> Path:
    """Return the path, or its nearest visible parent."""
    seen = (each for each in (path, *path.parents) if os.path.exists(each))
    return next(seen, Path("/"))


def _rates(context: DoctorContext) -> dict[Path, float]:
    """Return bytes per day by folder: backups, and the output of all runs."""
    if context.is_new:
        return {}
    since = datetime.now(UTC) - SEEN
    history = History(context.state, connect=unattended.connect)
    try:
        runs = history.runs(RunFilter(since=since, limit=1000))
        made = {
            job: history.runs(RunFilter(job=job.name, since=since, limit=1000))
            for job, _ in context.of_worker("backup.run")
        }
    finally:
        history.close()
    rates: dict[Path, float] = defaultdict(float)
    rates[context.state] += _a_day([(run, run.log_bytes) for run in runs])
    for job, given in context.of_worker("backup.run"):
        rate = _a_day([(run, _size(run)) for run in made[job]])
        for text in (given["directory"], *local_copies(given)):
            rates[path_in(job, text)] += rate
    return rates


def _a_day(written: list[tuple[Run, int]]) -> float:
    """Return bytes per day.

    The period is at least a day, so that one busy hour is not extrapolated.
    """
    if not written:
        return 0.0
    first = min(run.due for run, _ in written)
    seen_s = max(_DAY_S, (datetime.now(UTC) - first).total_seconds())
    return sum(size for _, size in written) * _DAY_S / seen_s


def _size(run: Run) -> int:
    """Return the size of the copy that a run made in bytes, 0 if it made none."""
    found = msgspec.json.decode(run.result_json) if run.result_json else {}
    size = found.get("size_bytes", 0) if isinstance(found, dict) else 0
    return size if isinstance(size, int) else 0


def _sum(one: float | None, other: float | None) -> float | None:
    return other if one is None else one + (other or 0.0)


def _room(folder: Path) -> str:
    return f"nightshift backups prune --keep-last 3, or a larger disk below {folder}"


def _unescaped(text: str) -> str:
    """Decode blanks, tabs, newlines and backslashes of mountinfo.

    The kernel writes them as \\040, \\011, \\012, \\134.
    """
    for code, letter in (("040", " "), ("011", "\t"), ("012", "\n"), ("134", "\\")):
        text = text.replace(f"\\{code}", letter)
    return text


def _name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"


def _sudo_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"
