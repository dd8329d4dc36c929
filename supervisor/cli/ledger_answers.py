"""Answers about the past from the ledger alone, as the API would give them.

The ledger is opened read-only; nothing is created, migrated or changed. Runs stand as
they were last written, with their secrets masked; the output of runs is masked here.
"""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import complain
from supervisor.cli.paths import Paths
from supervisor.cli.recorded_config import RecordedConfig, recorded_config
from supervisor.cli.time_format import time_format
from supervisor.containment import run_log
from supervisor.core import build_views, explain, responses, schedule
from supervisor.core.config_model import Job
from supervisor.core.escape import escape_control
from supervisor.core.log_lines import lines_with
from supervisor.core.model import Run
from supervisor.core.year_range import within_years
from supervisor.ledger import unattended
from supervisor.ledger.file import ledger_path
from supervisor.ledger.migrations import SCHEMA_VERSION
from supervisor.ledger.queries import History, RunFilter
from supervisor.state_dir import StateDir
from workers.text import readable
from workers.units import is_whole

# As in the API: 18 digits, which fit SQLite's 64-bit integer.
_MOST_DIGITS = 18
_encode = msgspec.json.Encoder(enc_hook=str).encode


class LedgerUnreadableError(Exception):
    """A ledger that cannot be read without a supervisor; the text says why."""


def ledger_answers(here: Paths, folder: Path) -> "LedgerAnswers":
    """Open the ledger in a state folder. Raises: LedgerUnreadableError."""
    path = folder / "ledger.sqlite3"
    try:
        if ledger_path(path) is None:
            raise LedgerUnreadableError(f"there is no ledger {path} to read instead")
        before = unattended.fingerprint(path)
        damaged = list[str]()
        history = History(folder, damaged.append, unattended.connect)
        version = history.schema_version()
    except (OSError, sqlite3.Error) as error:
        raise LedgerUnreadableError(f"the ledger {path} cannot be read: {error}") from error
    if version == 0:
        raise LedgerUnreadableError(f"{path} is no ledger")
    return LedgerAnswers(path, before, history, damaged, version, recorded_config(here, folder))


class LedgerAnswers:
    """Answers to the GET requests of `history`, `logs`, `explain` and `incidents`.

    before: the ledger's fingerprint when it was opened. damaged: what `history` could not
    read since the last answer. version: of the ledger's schema.
    """

    def __init__(
        self,
        path: Path,
        before: unattended.Fingerprint,
        history: History,
        damaged: list[str],
        version: int,
        known: RecordedConfig,
    ) -> None:
        self._path, self._before = path, before
        self._history, self._damaged, self._version = history, damaged, version
        self._config, self._mask, self.timezone = known.config, known.mask, known.timezone
        self._zone = time_format(known.timezone).zone

    @property
    def notice(self) -> str:
        """Return what is read, and what is odd about it."""
        said = f"reading the ledger {self._path}"
        if self._version != SCHEMA_VERSION:
            said += f" of schema {self._version} (this nightshift writes {SCHEMA_VERSION})"
        if self._config is None:
            said += "; without a valid jobs.yaml not all secrets in output are masked"
        return said

    def get(self, parts: tuple[str, ...], query: Mapping[str, Any]) -> bytes:
        """Return the body of `GET /part/part?query`.

        Raises:
            CliError: there is no such job or run, a value is invalid, or the ledger
                cannot be read.
        """
        try:
            body = self._answer(parts, query)
            is_changed = self._before and unattended.fingerprint(self._path) != self._before
        except (OSError, sqlite3.Error) as error:
            raise self._unreadable(error) from error
        if is_changed:
            text = f"the ledger {self._path} was written while it was read"
            raise CliError(ExitCode.NO, text, "ask again: a supervisor begins")
        if self._damaged:
            more = f" (and {len(self._damaged) - 1} more)" if len(self._damaged) > 1 else ""
            complain(escape_control(readable(f"{self._damaged[0]}{more}")))
            self._damaged.clear()
        return body

    def _answer(self, parts: tuple[str, ...], query: Mapping[str, Any]) -> bytes:
        match parts:
            case ("v1", "runs"):
                return _encode(self._runs(**query))
            case ("v1", "runs", number, "explain"):
                run = self._run(number)
                return _encode(responses.Explained(run.job, tuple(self._facts_of(run))))
            case ("v1", "runs", number, "log"):
                return self._log(self._run(number), query.get("grep"))
            case ("v1", "jobs", name, "explain"):
                facts = self._explain_job(name, _instant(query["at"]))
                return _encode(responses.Explained(name, tuple(facts)))
            case ("v1", "jobs", name):
                self._require_job(name)  # all that the commands ask
                return b"{}"
            case ("v1", "incidents"):
                waiting = self._history.waiting_alerts()
                found = self._history.incidents(query["limit"])
                shown = tuple(build_views.incident_view(each, waiting) for each in found)
                return _encode(responses.Incidents(shown))
            case ("v1", "actions"):
                return _encode(responses.Actions(tuple(self._history.actions(**query))))
            case ("v1", "reloads"):
                return _encode(responses.Reloads(tuple(self._history.reloads(**query))))
        raise AssertionError(f"no answer to {parts}")

    def _runs(
        self,
        *,
        limit: int,
        job: str | None,
        state: str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> responses.Runs:
        wanted = RunFilter(
            job=job, state=state, since=_bound(since), until=_bound(until), limit=limit
        )
        return responses.Runs(tuple(map(build_views.run_view, self._history.runs(wanted))))

    def _run(self, number: str) -> Run:
        if not (is_whole(number) and len(number) <= _MOST_DIGITS):
            raise _refusal(f'run "{number[:40]}": expected a whole number')
        found = self._history.run(int(number))
        if found is None:
            raise _refusal(f"no run {number} is known", "nightshift history lists them")
        return found

    def _require_job(self, name: str) -> Job | None:
        """Return the definition of a job.

        None if no jobs.yaml is valid here and the ledger has runs of the job.

        Raises:
            CliError: there is no such job.
        """
        if self._config is not None:
            definition = next((job for job in self._config.jobs if job.name == name), None)
            is_known = definition is not None
        else:
            definition = None
            is_known = bool(self._history.runs(RunFilter(job=name, limit=1)))
        if not is_known:
            raise _refusal(f'no job is called "{name}"', "nightshift history lists what ran")
        return definition

    def _explain_job(self, name: str, at: datetime | None) -> list[str]:
        """Return facts as the API does, except the next slot: no supervisor will run it."""
        job = self._require_job(name)
        if at is None:
            runs = self._history.runs(RunFilter(job=name, limit=1))
        else:
            runs = self._history.runs_at(name, at)
        outlook = explain.outlook(job, None, "", self._zone) if job and at is None else []
        if runs:
            return [*(fact for run in runs for fact in self._facts_of(run)), *outlook]
        gap = None if at is None else self._history.gap_at(name, at)
        if job is None and gap is None and at is not None:
            return [explain.unknown_slot(name, at, self._zone)]
        facts = explain.no_run(job or Job(name, 0), at, gap, self._zone, datetime.now(UTC))
        return [*facts, *outlook]

    def _facts_of(self, run: Run) -> list[str]:
        return explain.recorded_run(run, self._history.attempts(run.id), self._zone)

    def _log(self, run: Run, grep: str | None) -> bytes:
        kept = run_log.join(StateDir(self._path.parent).runs, run.id)
        text = self._mask(kept.decode(errors="replace"))
        if grep is not None:
            text = lines_with(text, grep)
        return text.encode(errors="replace")

    def _unreadable(self, error: Exception) -> CliError:
        text = f"the ledger {self._path} cannot be read: {error}"
        if self._version > SCHEMA_VERSION:
            hint = f"its schema is {self._version}: use the nightshift that wrote it"
        elif self._version < SCHEMA_VERSION:
            hint = f"its schema is {self._version}: nightshift start makes it {SCHEMA_VERSION}"
        else:
            hint = "nightshift start says what is wrong with it"
        return CliError(ExitCode.NO, text, hint)


def _instant(text: Any) -> datetime | None:
    """Return an instant that a calendar can handle. Raises: CliError."""
    if text is None:
        return None
    at = datetime.fromisoformat(text).astimezone(UTC)
    if at.year not in schedule.YEARS:
        first, last = schedule.YEARS[0], schedule.YEARS[-1]
        raise _refusal(f"{text}: expected a time from {first} to {last}")
    return at


def _bound(text: Any) -> datetime | None:
    """Return one end of a period, within the years of a calendar."""
    return None if text is None else within_years(datetime.fromisoformat(text))


def _refusal(text: str, hint: str = "") -> CliError:
    """Return the error of a request that names nothing, with the body of the API's answer."""
    return CliError(ExitCode.USAGE, text, hint, _encode(responses.ErrorBody(text, hint)))
