"""What doctor says of what was measured: one table, one line a rule."""

from datetime import date
from pathlib import Path

import pytest

from supervisor.doctor import databases, filesystem, host, network, schedules, service
from supervisor.doctor.context import DoctorContext, RunningService
from supervisor.doctor.finding import State

GROUND = DoctorContext(
    file=Path("jobs.yaml"),
    config=None,
    mistakes=3,
    no_file="",
    state=Path("/nonexistent/state"),
    socket=Path("/nonexistent/sock"),
    environ={},
    version="1.0",
    running=None,
    silence="nobody",
    way_out="nightshift start",
)
RIGHTS = network.Rights("night", "cron", temporary=True, create=False, schema=True)
PLACE = filesystem.Place(Path("/b"), exists=True, writable=True, read_only=False, made_by_us=True)
GIB = 1024**3


def place(**fields):
    return filesystem.Place(**{name: getattr(PLACE, name) for name in PLACE.__slots__} | fields)


def rights(**fields):
    known = {name: getattr(RIGHTS, name) for name in RIGHTS.__slots__} | fields
    return network.Server(("replicate",), "", "catalogue", network.Rights(**known))


def context(**fields):
    return DoctorContext(**{name: getattr(GROUND, name) for name in GROUND.__slots__} | fields)


# judge, what was measured, the loudest state, a part of what is said
TABLE = [
    (host.judge_kernel, "6.1.0-13-amd64", "well", "6.1.0"),
    (host.judge_kernel, "5.3", "well", ""),
    (host.judge_kernel, "5.2.9", "mend", "5.3 or newer"),
    (host.judge_kernel, "unheard", "mend", "unheard"),
    (host.judge_python, host.Python((3, 11, 2), "3.40"), "well", "SQLite 3.40"),
    (host.judge_python, host.Python((3, 10, 9), "3.40"), "mend", "3.11"),
    (host.judge_descriptors, host.Descriptors(-1, 3), "well", "no limit"),
    (host.judge_descriptors, host.Descriptors(1024, 3), "well", "1024"),
    (host.judge_descriptors, host.Descriptors(256, 3), "mend", "LimitNOFILE"),
    (host.judge_clock, host.Clock(None, None, 0.0), "well", "UTC"),
    (host.judge_clock, host.Clock(-5.0, 0.1, 0.0), "well", "agrees"),
    (host.judge_clock, host.Clock(3600.0, 0.0, 0.0), "mend", "1h before the ledger"),
    (host.judge_clock, host.Clock(0.0, -90.0, 0.0), "mend", "-90 s"),
    (host.judge_clock, host.Clock(0.0, 0.0, 2.0), "note", "+2.0 s"),
    (host.judge_root, host.Root(True, True), "well", "read-only"),
    (host.judge_root, host.Root(False, False), "well", "not in a container"),
    (host.judge_root, host.Root(True, False), "note", "read_only: true"),
    (filesystem.judge_user, filesystem.User(4242, None), "well", "4242"),
    (filesystem.judge_user, filesystem.User(4242, 4243), "note", "sudo -u '#4243' nightshift"),
    (filesystem.judge_places, [PLACE, place(path=Path("/c"))], "well", "/b and 1 more"),
    (filesystem.judge_places, [place(exists=False)], "well", "/b"),
    (filesystem.judge_places, [place(exists=False, made_by_us=False)], "mend", "mkdir -p /b"),
    (filesystem.judge_places, [place(writable=False)], "mend", "chown -R"),
    (filesystem.judge_places, [place(read_only=True)], "mend", "rw"),
    (
        filesystem.judge_disks,
        [filesystem.Volume(Path("/s"), 50 * GIB, GIB, None)],
        "well",
        "no growth",
    ),
    (
        filesystem.judge_disks,
        [filesystem.Volume(Path("/s"), 50 * GIB, GIB, 0.0)],
        "well",
        "no growth",
    ),
    (
        filesystem.judge_disks,
        [filesystem.Volume(Path("/s"), 50 * GIB, GIB, GIB)],
        "well",
        "50 days",
    ),
    (filesystem.judge_disks, [filesystem.Volume(Path("/s"), 9 * GIB, GIB, GIB)], "mend", "prune"),
    (filesystem.judge_disks, [filesystem.Volume(Path("/s"), GIB, 99 * GIB, None)], "mend", "5%"),
    (
        filesystem.judge_disks,
        [filesystem.Volume(Path("/proc"), 0, 0, None)],
        "well",
        "0 bytes free",
    ),
    (filesystem.judge_mount, filesystem.Mount(None, False), "well", "not there"),
    (filesystem.judge_mount, filesystem.Mount(Path("/e/jobs.yaml"), False), "well", "no inotify"),
    (filesystem.judge_mount, filesystem.Mount(Path("/e/jobs.yaml"), True), "mend", "-v ./e:/e:ro"),
    (service.judge_file, context(file=None, no_file="no jobs.yaml"), "mend", "nightshift init"),
    (service.judge_file, GROUND, "mend", "3 mistakes"),
    (service.judge_answers, GROUND, "note", "no supervisor has lived"),
    (service.judge_answers, context(running=RunningService(7, "1.0")), "well", "answers"),
    (service.judge_answers, context(running=RunningService(7, "0.9")), "mend", "version 0.9"),
    (
        service.judge_answers,
        context(running=RunningService(7, "1.0", 2, "HTTP 404")),
        "mend",
        "HTTP 404",
    ),
    (service.judge_init, service.Init("systemd", 7, True, 0), "well", "process 1 is systemd"),
    (service.judge_init, service.Init("nightshift", 1, True, 1), "well", "is process 1"),
    (service.judge_init, service.Init("tini", 7, True, 9), "mend", "9 dead children of pid 7"),
    (service.judge_init, service.Init("tini", 7, False, 0), "mend", "seccomp"),
    (service.judge_stop, service.Stop(30.0, "", None, False), "well", "30s"),
    (service.judge_stop, service.Stop(30.0, "n.service", 45.0, False), "well", "waits 45s"),
    (service.judge_stop, service.Stop(30.0, "n.service", 20.0, False), "mend", "Sec=32"),
    (service.judge_stop, service.Stop(7.0, "", None, True), "well", "7s"),
    (service.judge_stop, service.Stop(30.0, "", None, True), "note", "stop_grace_period: 32s"),
    (schedules.judge_zones, schedules.Zones(("UTC",), "2025b", date(2026, 2, 9)), "well", "2025b"),
    (schedules.judge_zones, schedules.Zones(("UTC",), "", date(2026, 2, 9)), "well", "is there"),
    (
        schedules.judge_zones,
        schedules.Zones(("UTC",), "2021a", date(2026, 2, 9)),
        "note",
        "tzdata",
    ),
    (
        schedules.judge_zones,
        schedules.Zones(("UTC",), "2025b", date(2026, 2, 9), "no"),
        "note",
        "TZ",
    ),
    (schedules.judge_daylight, [], "well", "60 days"),
    (schedules.judge_daylight, [("sync", "02:30 does not exist")], "note", "sync: 02:30"),
    (schedules.judge_usual, [], "well", "too few"),
    (schedules.judge_usual, [schedules.Usual("sync", 60.0, 30.0, 9, 0)], "well", "1 judged"),
    (schedules.judge_usual, [schedules.Usual("sync", 60.0, 55.0, 9, 0)], "mend", "timeout: 1m50s"),
    (schedules.judge_usual, [schedules.Usual("sync", 60.0, 9.0, 9, 2)], "mend", "2 of 9 hit it"),
    (databases.judge_sources, [], "well", "no job"),
    (
        databases.judge_sources,
        [databases.Source(Path("/d"), ("a", "b"), True, "", "")],
        "well",
        "of a, b",
    ),
    (
        databases.judge_sources,
        [databases.Source(Path("/d"), ("a",), False, "x", "a")],
        "note",
        "run a",
    ),
    (
        databases.judge_sources,
        [databases.Source(Path("/d"), ("a",), False, "x", "")],
        "mend",
        "not exist",
    ),
    (
        databases.judge_sources,
        [databases.Source(Path("/d"), ("a",), True, "is odd", "a")],
        "mend",
        "is odd",
    ),
    (databases.judge_copies, [], "well", "no job"),
    (
        databases.judge_copies,
        [databases.Copies("b", 3600.0, "", 172800.0, False)],
        "well",
        "1h old",
    ),
    (
        databases.judge_copies,
        [databases.Copies("b", 190000.0, "", 172800.0, False)],
        "mend",
        "run b --wait",
    ),
    (
        databases.judge_copies,
        [databases.Copies("b", None, "none in /b", 1.0, False)],
        "mend",
        "none in /b",
    ),
    (
        databases.judge_copies,
        [databases.Copies("b", None, "none in /b", 1.0, True)],
        "note",
        "yet",
    ),
    (network.judge_servers, [], "well", "no job"),
    (network.judge_servers, [network.Server(("h",), "is away")], "mend", "is away"),
    (network.judge_servers, [network.Server(("h",), "")], "well", "answers"),
    (network.judge_servers, [rights()], "well", "rights it needs"),
    (network.judge_servers, [rights(temporary=False)], "mend", 'TEMPORARY ON DATABASE "night"'),
    (network.judge_servers, [rights(schema=False)], "mend", 'ON SCHEMA "catalogue" TO "cron"'),
    (network.judge_servers, [rights(schema=None)], "mend", 'CREATE SCHEMA "catalogue"'),
    (network.judge_servers, [rights(schema=None, create=True)], "well", ""),
    (network.judge_webhooks, [], "note", "nobody is told"),
    (network.judge_webhooks, [network.Webhook("h:443", "")], "well", "nothing was sent"),
    (network.judge_webhooks, [network.Webhook("h:443", "does not answer")], "mend", "firewall"),
    (network.judge_webhooks, [network.Webhook("h:443", "", "proxy")], "note", "notify --test"),
]


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
