"""What doctor says of what was measured: one table, one line a rule."""

from datetime import date
from pathlib import Path

import pytest

from supervisor.doctor import data, folders, machine, outside, service, times
from supervisor.doctor.finding import State
from supervisor.doctor.ground import Ground, Living

GROUND = Ground(
    file=Path("jobs.yaml"),
    config=None,
    mistakes=3,
    no_file="",
    state=Path("/nonexistent/state"),
    socket=Path("/nonexistent/sock"),
    environ={},
    version="1.0",
    living=None,
    silence="nobody",
    way_out="nightshift start",
)
RIGHTS = outside.Rights("night", "cron", temporary=True, create=False, schema=True)
PLACE = folders.Place(Path("/b"), exists=True, writable=True, read_only=False, made_by_us=True)
GIB = 1024**3


def place(**fields):
    return folders.Place(**{name: getattr(PLACE, name) for name in PLACE.__slots__} | fields)


def rights(**fields):
    known = {name: getattr(RIGHTS, name) for name in RIGHTS.__slots__} | fields
    return outside.Server(("replicate",), "", "catalogue", outside.Rights(**known))


def ground(**fields):
    return Ground(**{name: getattr(GROUND, name) for name in GROUND.__slots__} | fields)


# judge, what was measured, the loudest state, a part of what is said
TABLE = [
    (machine.judge_kernel, "6.1.0-13-amd64", "well", "6.1.0"),
    (machine.judge_kernel, "5.3", "well", ""),
    (machine.judge_kernel, "5.2.9", "mend", "5.3 or newer"),
    (machine.judge_kernel, "unheard", "mend", "unheard"),
    (machine.judge_python, machine.Python((3, 11, 2), "3.40"), "well", "SQLite 3.40"),
    (machine.judge_python, machine.Python((3, 10, 9), "3.40"), "mend", "3.11"),
    (machine.judge_descriptors, machine.Descriptors(-1, 3), "well", "no limit"),
    (machine.judge_descriptors, machine.Descriptors(1024, 3), "well", "1024"),
    (machine.judge_descriptors, machine.Descriptors(256, 3), "mend", "LimitNOFILE"),
    (machine.judge_clock, machine.Clock(None, None, 0.0), "well", "UTC"),
    (machine.judge_clock, machine.Clock(-5.0, 0.1, 0.0), "well", "agrees"),
    (machine.judge_clock, machine.Clock(3600.0, 0.0, 0.0), "mend", "1h before the ledger"),
    (machine.judge_clock, machine.Clock(0.0, -90.0, 0.0), "mend", "-90 s"),
    (machine.judge_clock, machine.Clock(0.0, 0.0, 2.0), "note", "+2.0 s"),
    (machine.judge_root, machine.Root(True, True), "well", "read-only"),
    (machine.judge_root, machine.Root(False, False), "well", "not in a container"),
    (machine.judge_root, machine.Root(True, False), "note", "read_only: true"),
    (folders.judge_user, folders.User(4242, None), "well", "4242"),
    (folders.judge_user, folders.User(4242, 4243), "note", "sudo -u '#4243' nightshift"),
    (folders.judge_places, [PLACE, place(path=Path("/c"))], "well", "/b and 1 more"),
    (folders.judge_places, [place(exists=False)], "well", "/b"),
    (folders.judge_places, [place(exists=False, made_by_us=False)], "mend", "mkdir -p /b"),
    (folders.judge_places, [place(writable=False)], "mend", "chown -R"),
    (folders.judge_places, [place(read_only=True)], "mend", "rw"),
    (folders.judge_disks, [folders.Volume(Path("/s"), 50 * GIB, GIB, None)], "well", "no growth"),
    (folders.judge_disks, [folders.Volume(Path("/s"), 50 * GIB, GIB, 0.0)], "well", "no growth"),
    (folders.judge_disks, [folders.Volume(Path("/s"), 50 * GIB, GIB, GIB)], "well", "50 days"),
    (folders.judge_disks, [folders.Volume(Path("/s"), 9 * GIB, GIB, GIB)], "mend", "prune"),
    (folders.judge_disks, [folders.Volume(Path("/s"), GIB, 99 * GIB, None)], "mend", "5%"),
    (folders.judge_disks, [folders.Volume(Path("/proc"), 0, 0, None)], "well", "0 bytes free"),
    (folders.judge_mount, folders.Mount(None, False), "well", "not there"),
    (folders.judge_mount, folders.Mount(Path("/e/jobs.yaml"), False), "well", "no inotify"),
    (folders.judge_mount, folders.Mount(Path("/e/jobs.yaml"), True), "mend", "-v ./e:/e:ro"),
    (service.judge_file, ground(file=None, no_file="no jobs.yaml"), "mend", "nightshift init"),
    (service.judge_file, GROUND, "mend", "3 mistakes"),
    (service.judge_answers, GROUND, "note", "no supervisor has lived"),
    (service.judge_answers, ground(living=Living(7, "1.0")), "well", "answers"),
    (service.judge_answers, ground(living=Living(7, "0.9")), "mend", "version 0.9"),
    (service.judge_answers, ground(living=Living(7, "1.0", 2, "HTTP 404")), "mend", "HTTP 404"),
    (service.judge_init, service.Init("systemd", 7, True, 0), "well", "process 1 is systemd"),
    (service.judge_init, service.Init("nightshift", 1, True, 1), "well", "is process 1"),
    (service.judge_init, service.Init("tini", 7, True, 9), "mend", "9 dead children of pid 7"),
    (service.judge_init, service.Init("tini", 7, False, 0), "mend", "seccomp"),
    (service.judge_stop, service.Stop(30.0, "", None, False), "well", "30s"),
    (service.judge_stop, service.Stop(30.0, "n.service", 45.0, False), "well", "waits 45s"),
    (service.judge_stop, service.Stop(30.0, "n.service", 20.0, False), "mend", "Sec=32"),
    (service.judge_stop, service.Stop(7.0, "", None, True), "well", "7s"),
    (service.judge_stop, service.Stop(30.0, "", None, True), "note", "stop_grace_period: 32s"),
    (times.judge_zones, times.Zones(("UTC",), "2025b", date(2026, 2, 9)), "well", "2025b"),
    (times.judge_zones, times.Zones(("UTC",), "", date(2026, 2, 9)), "well", "is there"),
    (times.judge_zones, times.Zones(("UTC",), "2021a", date(2026, 2, 9)), "note", "tzdata"),
    (times.judge_zones, times.Zones(("UTC",), "2025b", date(2026, 2, 9), "no"), "note", "TZ"),
    (times.judge_daylight, [], "well", "60 days"),
    (times.judge_daylight, [("sync", "02:30 does not exist")], "note", "sync: 02:30"),
    (times.judge_usual, [], "well", "too few"),
    (times.judge_usual, [times.Usual("sync", 60.0, 30.0, 9, 0)], "well", "1 judged"),
    (times.judge_usual, [times.Usual("sync", 60.0, 55.0, 9, 0)], "mend", "timeout: 1m50s"),
    (times.judge_usual, [times.Usual("sync", 60.0, 9.0, 9, 2)], "mend", "2 of 9 hit it"),
    (data.judge_sources, [], "well", "no job"),
    (data.judge_sources, [data.Source(Path("/d"), ("a", "b"), True, "", "")], "well", "of a, b"),
    (data.judge_sources, [data.Source(Path("/d"), ("a",), False, "x", "a")], "note", "run a"),
    (data.judge_sources, [data.Source(Path("/d"), ("a",), False, "x", "")], "mend", "not exist"),
    (data.judge_sources, [data.Source(Path("/d"), ("a",), True, "is odd", "a")], "mend", "is odd"),
    (data.judge_copies, [], "well", "no job"),
    (data.judge_copies, [data.Copies("b", 3600.0, "", 172800.0, False)], "well", "1h old"),
    (data.judge_copies, [data.Copies("b", 190000.0, "", 172800.0, False)], "mend", "run b --wait"),
    (data.judge_copies, [data.Copies("b", None, "none in /b", 1.0, False)], "mend", "none in /b"),
    (data.judge_copies, [data.Copies("b", None, "none in /b", 1.0, True)], "note", "yet"),
    (outside.judge_servers, [], "well", "no job"),
    (outside.judge_servers, [outside.Server(("h",), "is away")], "mend", "is away"),
    (outside.judge_servers, [outside.Server(("h",), "")], "well", "answers"),
    (outside.judge_servers, [rights()], "well", "rights it needs"),
    (outside.judge_servers, [rights(temporary=False)], "mend", 'TEMPORARY ON DATABASE "night"'),
    (outside.judge_servers, [rights(schema=False)], "mend", 'ON SCHEMA "catalogue" TO "cron"'),
    (outside.judge_servers, [rights(schema=None)], "mend", 'CREATE SCHEMA "catalogue"'),
    (outside.judge_servers, [rights(schema=None, create=True)], "well", ""),
    (outside.judge_doors, [], "note", "nobody is told"),
    (outside.judge_doors, [outside.Door("h:443", "")], "well", "nothing was sent"),
    (outside.judge_doors, [outside.Door("h:443", "does not answer")], "mend", "firewall"),
    (outside.judge_doors, [outside.Door("h:443", "", "proxy")], "note", "notify --test"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("judge", "measured", "state", "said"),
    TABLE,
    ids=[f"{judge.__name__}-{state}-{said}" for judge, _, state, said in TABLE],
)
def test_a_measure_is_judged(judge, measured, state, said):
    found = list(judge(measured))

    order = list(State)
    loudest = max(found, key=lambda finding: order.index(finding.state))
    assert loudest.state == state
    assert said in f"{loudest.value} {loudest.expected} {loudest.mend}"


@pytest.mark.parametrize(
    ("judge", "measured"), [(judge, measured) for judge, measured, _, _ in TABLE]
)
def test_what_is_to_be_mended_says_what_is_expected_and_how_it_is_done(judge, measured):
    for finding in judge(measured):
        if finding.state is State.MEND:
            assert finding.value
            assert finding.expected
            assert finding.mend


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1min 30s", 90.0), ("45s", 45.0), ("500ms", 0.5), ("infinity", None), ("", None)],
)
def test_a_span_of_systemd_is_read(text, seconds):
    assert service.seconds_of(text) == seconds
