"""Paths, times and tables: the plain values that the verbs use."""

import os
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
import pytest

from supervisor.cli.errors import CliError
from supervisor.cli.output import Table, clean, results
from supervisor.cli.paths import Paths
from supervisor.cli.run_text import format_progress
from supervisor.cli.time_format import DateFormat, TimeFormat
from supervisor.core.model import Progress

NOON = TimeFormat(ZoneInfo("Europe/Berlin"), datetime(2026, 2, 9, 11, 0, tzinfo=UTC))


@pytest.mark.parametrize(
    ("typed", "environ", "socket"),
    [
        ({"socket": "a"}, {"NIGHTSHIFT_SOCKET": "b"}, "a"),
        ({}, {"NIGHTSHIFT_SOCKET": "b", "RUNTIME_DIRECTORY": "/run/c"}, "b"),
        ({}, {"RUNTIME_DIRECTORY": "/run/c:/run/d", "STATE_DIRECTORY": "/e"}, "/run/c/{name}"),
        ({"state": "/s"}, {"NIGHTSHIFT_STATE_DIR": "/t"}, "/s/{name}"),
        ({}, {"NIGHTSHIFT_STATE_DIR": "/t", "STATE_DIRECTORY": "/u"}, "/t/{name}"),
        ({}, {"NIGHTSHIFT_STATE_DIR": "", "STATE_DIRECTORY": "/u:/v"}, "/u/{name}"),
    ],
)
def test_the_socket_is_taken_from_the_first_of_its_sources(
    typed: dict[str, str], environ: dict[str, str], socket: str
) -> None:
    assert Paths(typed, environ).socket == Path(socket.format(name="nightshift.sock"))


@pytest.mark.parametrize(
    ("typed", "environ", "folder"),
    [
        ({"state": "/s"}, {}, "/s"),
        ({}, {"NIGHTSHIFT_STATE_DIR": "/t"}, "/t"),
        ({}, {"STATE_DIRECTORY": "/u", "RUNTIME_DIRECTORY": "/run/c"}, "/u"),
        ({"socket": "a"}, {"NIGHTSHIFT_STATE_DIR": "/t"}, None),
        ({"socket": "a", "state": "/s"}, {}, "/s"),
        ({}, {"NIGHTSHIFT_SOCKET": "b", "STATE_DIRECTORY": "/u"}, None),
        ({}, {"NIGHTSHIFT_SOCKET": "b", "NIGHTSHIFT_STATE_DIR": "/t"}, "/t"),
    ],
)
def test_the_ledger_of_a_socket_is_known_unless_only_the_socket_is_named(
    typed: dict[str, str], environ: dict[str, str], folder: str | None
) -> None:
    assert Paths(typed, environ).ledger_folder == (folder and Path(folder))


def test_the_state_folder_is_the_users_own_unless_root_asks() -> None:
    expected = "/var/lib/nightshift" if os.geteuid() == 0 else "/x/nightshift"

    assert Paths({}, {"XDG_STATE_HOME": "/x"}).state == Path(expected)


def test_jobs_yaml_is_sought_here_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = Paths({}, {})
    with pytest.raises(CliError):
        _ = here.config

    (tmp_path / "jobs.yaml").touch()

    assert here.config == Path("jobs.yaml")
    assert Paths({}, {"NIGHTSHIFT_CONFIG": "b"}).config == Path("b")
    assert Paths({"config": "a"}, {"NIGHTSHIFT_CONFIG": "b"}).config == Path("a")


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("02:00", "2026-02-09T01:00:00+00:00"),
        ("13:00", "2026-02-08T12:00:00+00:00"),
        ("2026-02-01", "2026-01-31T23:00:00+00:00"),
        ("2026-02-01 02:00", "2026-02-01T01:00:00+00:00"),
        ("2026-02-01T02:00:00Z", "2026-02-01T02:00:00+00:00"),
    ],
)
def test_a_time_is_reported_in_the_zone_unless_it_brings_its_own(text: str, instant: str) -> None:
    assert NOON.instant(text, "--at").isoformat() == instant


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1h30m", "2026-02-09T09:30:00+00:00"),
        ("7d", "2026-02-02T11:00:00+00:00"),
        ("300000d", "1970-01-01T00:00:00+00:00"),
    ],
)
def test_since_counts_back_from_now(text: str, instant: str) -> None:
    assert NOON.since(text, "--since").isoformat() == instant


@pytest.mark.parametrize("text", ["", "noon", "25:00", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected a time"):
        NOON.instant(text, "--at")


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31T23:00-05:00"])
def test_a_time_at_the_end_of_the_calendar_is_refused_for_its_year(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected a year from 2 to 9998, got"):
        NOON.instant(text, "--at")


def test_a_year_has_four_digits() -> None:
    early = datetime(12, 3, 4, 5, 6, 7, tzinfo=UTC)

    assert TimeFormat(UTC, early).full(early) == "0012-03-04 05:06:07 UTC"
    assert TimeFormat(UTC, early).slot(early) == "Sun 0012-03-04 05:06 UTC"
    assert DateFormat(UTC, early).relative(early) == "0012-03-04 05:06Z"


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (datetime(12, 3, 4, 5, 6, 7, tzinfo=UTC), "2013y ago"),
        (datetime(2036, 2, 7, tzinfo=UTC), "in 3649d"),
        (datetime(2026, 2, 9, 11, 0, 0, tzinfo=UTC), "0s ago"),
        (datetime(2026, 2, 9, 10, 57, 1, tzinfo=UTC), "2m ago"),
        (datetime(2026, 2, 9, 13, 0, 1, tzinfo=UTC), "in 2h"),
        (datetime(2026, 2, 6, 11, 0, tzinfo=UTC), "3d ago"),
        (None, "-"),
    ],
)
def test_ages_are_reported_in_the_largest_unit(at: datetime | None, words: str) -> None:
    assert NOON.relative(at) == words


def test_a_table_in_a_pipe_is_aligned_and_cuts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("JOB", "CAUSE")
    table.add("a", "exit\x1b[31m status\n2")
    table.add("a-long-name", "x" * 200)

    table.show()

    said = capsys.readouterr().out
    assert said.splitlines()[:2] == ["JOB          CAUSE", "a            exit\\x1b[31m status\\n2"]
    assert "x" * 200 in said


def test_results_are_shown_without_what_is_empty() -> None:
    assert results({"added": 3, "names": "", "seconds": 0.123456789}) == (
        "added=3 seconds=0.123457"
    )
    assert results(None) == ""
    assert results({str(n): n for n in range(9)}).endswith(" ...")


def test_control_characters_are_written_out() -> None:
    assert clean("a\x1b]0;title\x07b\nc ") == "a\\x1b]0;title\\x07b\\nc"


@pytest.mark.parametrize(
    ("done", "total", "unit", "per_second", "words"),
    [
        (30, 120, "sets", None, "30 of 120 sets"),
        (30, None, "sets", 2.5, "30 sets (2.5/s)"),
        (0.5, 1, "", None, "0.5 of 1"),
        (2_000_000, 3_000_000, "rows", 12345.678, "2000000 of 3000000 rows (12346/s)"),
        (120e6, 380e6, "bytes", 95.2e6, "120.0 MB of 380.0 MB (95.2 MB/s)"),
        (0, 380e6, "bytes", 0.0, "0 bytes of 380.0 MB"),
    ],
)
def test_progress_is_reported_in_amounts_that_people_read(
    done: float, total: float | None, unit: str, per_second: float | None, words: str
) -> None:
    assert (
        format_progress(Progress(float(done), total and float(total), unit, per_second)) == words
    )
