"""Check of the places of second copies: what they allow to the job that uses them.

One small object is created and deleted again. Its name is fixed, so that places which
forbid deletion hold one and not many.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from supervisor.core.config_model import Job
from supervisor.doctor.context import DoctorContext
from supervisor.doctor.finding import Finding, error, ok, warning
from workers.backup.places.place import Place
from workers.backup.places.probe import PROBE, Rights, probe
from workers.params import ParamsError, parse

_ANSWER_S = 5.0


@dataclass(frozen=True, slots=True)
class PlaceRights:
    """A place of a job, and what it allows. may_delete: as jobs.yaml says."""

    job: str
    place: str
    may_delete: bool
    is_locked: bool
    rights: Rights


def rights(context: DoctorContext) -> list[PlaceRights]:
    """Try each place that is no plain folder, as the first job that names it would."""
    found: dict[str, PlaceRights] = {}
    for job, given in context.of_worker("backup.run"):
        for place in _places(given.get("copies") or []):
            if place.key not in found and not place.is_plain_folder:
                found[place.key] = _tried(job, place)
    return list(found.values())


def judge_rights(found: Iterable[PlaceRights]) -> Iterator[Finding]:
    """Check that objects can be created, not overwritten, and deleted as configured."""
    found = list(found)
    for each in found:
        yield from _judged(each)
    if not found:
        yield ok("no copy leaves the machine")


def _judged(each: PlaceRights) -> Iterator[Finding]:
    seen, named = each.rights, f"{each.job}: {each.place}"
    if seen.error:
        said = seen.error.removeprefix(f"{each.place}: ")
        yield error(f"{named}: {said}", "a place that takes copies", "its entry below `copies`")
        return
    fine = ["creates"]
    if seen.overwrites and seen.protection.is_versioned:
        fine.append("overwrites, and keeps versions")
    elif seen.overwrites:
        remedy = "a bucket with versions or object lock, or a store that knows If-None-Match"
        yield warning(f"{named} overwrites what is there", "only new objects", remedy)
    else:
        fine.append("overwrites nothing")
    if seen.deletes and not each.may_delete:
        remedy = "credentials without the right to delete"
        yield warning(f"{named} deletes objects", "delete: false in jobs.yaml to hold", remedy)
    elif not seen.deletes and each.may_delete and not each.is_locked:
        remedy = f"the right to delete, or delete: false; {PROBE} was left there"
        yield warning(f"{named} deletes nothing: {seen.deletion_error}", "rotation", remedy)
    else:
        fine.append("deletes" if seen.deletes else "deletes nothing, as configured")
    yield ok(f"{named} {', '.join([*fine, *_kept(each)])}")


def _kept(each: PlaceRights) -> Iterator[str]:
    """Yield how the place keeps what is deleted, as far as it tells these credentials."""
    found = each.rights.protection
    if found.is_versioned:
        yield "has versions: what is deleted remains as one"
    if found.is_on_hold:
        yield "keeps each object by a legal hold"
    if found.kept_until is not None:
        yield f"keeps an object of now until {found.kept_until:%Y-%m-%d %H:%M} UTC"
    elif each.is_locked:
        yield "tells these credentials of no lock, though `locked` is set"


def _tried(job: Job, place: Place) -> PlaceRights:
    """Try the place with the job's environment; safe because this runs in its own process."""
    os.environ.update(dict(job.env))
    os.chdir(job.cwd)
    return PlaceRights(job.name, place.to, place.delete, place.locked is not None, probe(place))


def _places(given: object) -> Iterator[Place]:
    for one in given if isinstance(given, list) else [given]:
        known = dict(one) if isinstance(one, dict) else {"to": str(one)}
        try:
            found = parse(Place, known)
            short = {} if found.answer <= _ANSWER_S else {"answer": f"{_ANSWER_S}s"}
            yield parse(Place, known | short)
        except ParamsError:
            continue  # the check of jobs.yaml reports it
