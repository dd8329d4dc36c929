"""The system time zone: TZ and /etc/localtime, resolved to the name of a zone."""

import os
import time
import zoneinfo
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from supervisor import config
from supervisor.config import timezones
from supervisor.config.fingerprint import fingerprint
from supervisor.config.problems import BadValueError
from supervisor.config.timezones import MachineZone, system_zone
from supervisor.config.watch import SETTLE_S
from supervisor.config.zone_files import zone_of_content, zone_of_posix
from supervisor.core import events as ev
from supervisor.reloader import Reloader
from supervisor.state_dir import StateDir
from tests.edge.fixtures_keepers import at
from workers import protocol

DATABASE = next((Path(each) for each in zoneinfo.TZPATH if Path(each, "Europe").is_dir()), None)
needs_database = pytest.mark.skipif(DATABASE is None, reason="this machine has no zone database")


def content(name):
    return Path(DATABASE, name).read_bytes()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        (":Europe/Berlin", "Europe/Berlin"),
        ("posix/Europe/Berlin", "Europe/Berlin"),
        ("right/Europe/Berlin", "Europe/Berlin"),
        ("/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"),
        (":/usr/share/zoneinfo/posix/Europe/Berlin", "Europe/Berlin"),
        ("EST5EDT", "EST5EDT"),
        ("", "UTC"),
        (":", "UTC"),
        ("UTC", "UTC"),
        ("UTC0", "UTC"),
        ("CET-1CEST,M3.5.0,M10.5.0/3", "CET"),
        ("CET-1CEST,M3.5.0/2,M10.5.0/3:00:00", "CET"),
        ("EST5EDT,M3.2.0,M11.1.0", "EST5EDT"),
        ("JST-9", "Asia/Tokyo"),
        ("IST-5:30", "Asia/Kolkata"),
        ("<+03>-3", "Etc/GMT-3"),
        ("UTC-2", "Etc/GMT-2"),
        ("MYZONE8", "Etc/GMT+8"),
    ],
)
def test_tz_is_understood_as_date_understands_it(value, name):
    assert system_zone({"TZ": value}) == MachineZone(name)


@pytest.mark.parametrize(
    "value",
    ["CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0", "IST-5:30", "UTC-2", "<-03>3",
     "AEST-10AEDT,M10.1.0,M4.1.0/3", "GMT0BST,M3.5.0/1,M10.5.0", "NST3:30NDT,M3.2.0,M11.1.0"],
)  # fmt: skip
def test_a_posix_string_and_the_zone_found_show_the_same_times(value, monkeypatch):
    found = zoneinfo.ZoneInfo(system_zone({"TZ": value}).name)
    monkeypatch.setenv("TZ", value)
    time.tzset()
    try:
        for hours in range(0, 24 * 366, 3):
            at = datetime(2027, 1, 1, tzinfo=UTC) + timedelta(hours=hours, minutes=30)
            assert at.astimezone(found).utcoffset().total_seconds() == (
                time.localtime(at.timestamp()).tm_gmtoff
            )
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("Europe/Berlni", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("CET-1CEST", "POSIX"),
        ("FOO-3BAR,M5.1.0,M9.1.0", "POSIX"),
        ("/no/such/file", "TZ"),
        ("/dev/null", "TZ"),
        ("Europe", "TZ"),
        ("../../etc/passwd", "TZ"),
        ("\udcff\n", r"\udcff\n"),
        ("x" * 5000, "..."),
        ("UTC+99999", "TZ"),
    ],
)
def test_a_tz_that_names_no_zone_is_a_mistake(value, words):
    with pytest.raises(BadValueError) as caught:
        system_zone({"TZ": value})

    said = f"{caught.value.message} {caught.value.hint}"
    assert words in said
    assert said.isprintable()


# --- /etc/localtime -----------------------------------------------------------------


@needs_database
@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Africa/Casablanca", "UTC"]
)
def test_a_copied_file_is_found_by_its_content(tmp_path, name):
    localtime = tmp_path / "localtime"
    localtime.write_bytes(content(name))

    assert system_zone({}, localtime) == MachineZone(name)


@needs_database
def test_a_link_is_followed_by_its_name(tmp_path):
    localtime = tmp_path / "localtime"
    localtime.symlink_to(DATABASE / "Europe/Oslo")

    assert system_zone({}, localtime).name in ("Europe/Oslo", "Europe/Berlin")


@needs_database
def test_of_several_names_for_one_content_the_one_in_etc_timezone_counts(tmp_path):
    if not Path(DATABASE, "US/Eastern").exists():
        pytest.skip("the zone database lacks old names (Debian: tzdata-legacy)")
    localtime = tmp_path / "localtime"
    localtime.write_bytes(content("US/Eastern"))
    plain = system_zone({}, localtime)
    (tmp_path / "timezone").write_text("US/Eastern\n")

    assert plain == MachineZone("America/New_York")
    assert system_zone({}, localtime) == MachineZone("US/Eastern")


@needs_database
def test_etc_timezone_does_not_stand_before_the_file(tmp_path):
    localtime = tmp_path / "localtime"
    localtime.write_bytes(content("Asia/Tokyo"))
    (tmp_path / "timezone").write_text("Europe/Berlin\n")

    assert system_zone({}, localtime) == MachineZone("Asia/Tokyo")


@needs_database
def test_a_file_of_another_edition_is_found_by_what_it_shows(tmp_path):
    localtime = tmp_path / "localtime"
    berlin = content("Europe/Berlin")
    # A new footer of the same rule shifts every byte.
    localtime.write_bytes(berlin.replace(b"\0\0\0\0\0\0\0\0", b"\0\0\0\0\0\0\0\1", 1))

    found = zoneinfo.ZoneInfo(system_zone({}, localtime).name)
    summer = datetime(2027, 7, 1, tzinfo=UTC).astimezone(found)
    assert (summer.utcoffset(), summer.tzname()) == (timedelta(hours=2), "CEST")


def test_no_file_is_utc_as_for_date(tmp_path):
    assert system_zone({}, tmp_path / "localtime") == MachineZone("UTC")


def test_no_file_beside_another_word_is_reported(tmp_path):
    (tmp_path / "timezone").write_text("Europe/Berlin\n")

    found = system_zone({}, tmp_path / "localtime")

    assert found.name == "UTC"
    assert "Europe/Berlin" in found.error


@pytest.mark.parametrize("kind", ["noise", "folder", "fifo", "link to nothing", "empty", "huge"])
def test_what_is_no_zone_file_is_utc_and_reported(tmp_path, kind):
    localtime = tmp_path / "localtime"
    match kind:
        case "noise":
            localtime.write_bytes(b"TZif" + os.urandom(500))
        case "folder":
            localtime.mkdir()
        case "fifo":
            os.mkfifo(localtime)
        case "link to nothing":
            localtime.symlink_to("zoneinfo/Moon/Tycho")
        case "empty":
            localtime.touch()
        case "huge":
            with localtime.open("wb") as file:
                file.truncate(10**12)

    found = system_zone({}, localtime)

    assert found.name == "UTC"
    assert str(localtime) in found.error


@needs_database
@pytest.mark.parametrize("name", sorted(zoneinfo.available_timezones())[::19])
def test_each_zone_is_found_by_its_content_and_by_its_rule(name):
    if not Path(DATABASE, name).is_file():
        pytest.skip("it is in the package only")
    found = zone_of_content(content(name), name)
    of_rule = zone_of_posix(content(name).rsplit(b"\n", 2)[1].decode())

    assert found in (name, None if name in ("localtime", "Factory", "posixrules") else name)
    for month in range(1, 13):
        at = datetime(2030, month, 15, 12, tzinfo=UTC)
        wanted = at.astimezone(zoneinfo.ZoneInfo(name)).utcoffset()
        assert at.astimezone(zoneinfo.ZoneInfo(of_rule)).utcoffset() == wanted


# --- effects ------------------------------------------------------------------------

JOBS = "jobs:\n  a: {command: [x], cron: '0 2 * * *'}\n"
NAMED = f"timezone: Asia/Tokyo\n{JOBS}"


@pytest.fixture
def localtime(tmp_path, monkeypatch):
    """Return the file that replaces /etc/localtime."""
    file = tmp_path / "localtime"
    monkeypatch.setattr(timezones, "LOCALTIME", file)
    return file


def parse(text, **environ):
    return config.parse(text.encode(), Path("/srv/jobs.yaml"), environ)


def test_a_tz_that_names_no_zone_is_an_error_of_a_text_that_needs_it():
    found = parse(JOBS, TZ="Europe/Berlni")

    [problem] = found.problems
    assert found.config is None
    assert (problem.path, problem.severity) == ("timezone", "error")
    assert 'did you mean "Europe/Berlin"' in problem.hint


def test_all_other_mistakes_are_reported_beside_it():
    found = parse("jobs: {a: {command: [x], retries: many}}", TZ="Europe/Berlni")

    assert [problem.path for problem in found.problems] == ["timezone", "jobs.a.retries"]


def test_a_text_with_a_zone_of_its_own_asks_neither_tz_nor_the_machine(localtime):
    localtime.write_text("noise")

    assert parse(NAMED, TZ="Europe/Berlni").problems == ()
    assert parse(NAMED).problems == ()


def test_a_machine_without_a_zone_is_a_warning(localtime):
    localtime.write_text("noise")

    found = parse(JOBS)

    [problem] = found.problems
    assert (problem.path, problem.severity) == ("timezone", "warning")
    assert found.config.timezone == "UTC"


@needs_database
def test_what_the_cache_holds_ends_with_another_zone(localtime, tmp_path):
    yaml = tmp_path / "jobs.yaml"
    yaml.write_text(JOBS)
    zone_now = []
    for name in ("Europe/Berlin", "Asia/Tokyo", "Asia/Tokyo"):
        localtime.write_bytes(content(name))
        loaded = config.load(yaml, {}, tmp_path / "cache")
        zone_now.append(loaded.config.jobs[0].timezone)

    assert zone_now == ["Europe/Berlin", "Asia/Tokyo", "Asia/Tokyo"]


@needs_database
def test_a_file_that_is_replaced_has_jobs_yaml_read_again(localtime, tmp_path):
    localtime.write_bytes(content("Europe/Berlin"))
    yaml = tmp_path / "jobs.yaml"
    yaml.write_text(JOBS)
    folder = StateDir(tmp_path / "state")
    folder.make()
    reloader = Reloader(yaml, folder, fingerprint(yaml), lambda found: found)
    unchanged = looks(reloader, yaml, 100.0)
    localtime.write_bytes(content("Asia/Tokyo"))
    changed = looks(reloader, yaml, 200.0)
    again = looks(reloader, yaml, 300.0)

    assert (unchanged, changed, again) == (False, True, False)


def looks(reloader, yaml, mono):
    """Run the look of a minute and, if requested, the second; return whether the file is read."""
    reloader.poll(ev.At(at().wall, mono))
    for moment in (mono, mono + SETTLE_S):
        now = ev.At(at().wall, moment)
        launch = reloader.next_launch(now)
        if launch is None:
            return False
        found = protocol.Done({"found": fingerprint(yaml)})
        key = (launch.run.id, launch.run.attempt)
        reloader.on_events([ev.MessageReceived(now, *key, found), ev.Exited(now, *key, 0)], now)
    read = reloader.next_launch(ev.At(at().wall, mono + 2 * SETTLE_S))
    if read is not None:
        reloader.on_events([ev.Exited(now, read.run.id, read.run.attempt, 0)], now)
    return read is not None
