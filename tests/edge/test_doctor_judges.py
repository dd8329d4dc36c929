"""Verdicts of doctor on its measurements: one table, one line for each rule."""

from datetime import date
from pathlib import Path

import pytest

from supervisor.doctor import databases, filesystem, host, network, schedules, service
from supervisor.doctor.context import ChannelState, DoctorContext, RunningService
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


# judge, measurement, worst state, part of the message
TABLE = [
    (host.judge_kernel, "6.1.0-13-amd64", "ok", "6.1.0"),
    (host.judge_kernel, "5.3", "ok", ""),
    (host.judge_kernel, "5.2.9", "error", "5.3 or newer"),
    (host.judge_kernel, "unheard", "error", "unheard"),
    (host.judge_python, host.Python((3, 11, 2), "3.40"), "ok", "SQLite 3.40"),
    (host.judge_python, host.Python((3, 10, 9), "3.40"), "error", "3.11"),
    (host.judge_descriptors, host.Descriptors(-1, 3), "ok", "no limit"),
    (host.judge_descriptors, host.Descriptors(1024, 3), "ok", "1024"),
    (host.judge_descriptors, host.Descriptors(256, 3), "error", "LimitNOFILE"),
    (host.judge_clock, host.Clock(None, None, 0.0), "ok", "UTC"),
    (host.judge_clock, host.Clock(-5.0, 0.1, 0.0), "ok", "agrees"),
    (host.judge_clock, host.Clock(3600.0, 0.0, 0.0), "error", "1h before the ledger"),
    (host.judge_clock, host.Clock(0.0, -90.0, 0.0), "error", "-90 s"),
    (host.judge_clock, host.Clock(0.0, 0.0, 2.0), "warning", "+2.0 s"),
    (host.judge_root, host.Root(True, True), "ok", "read-only"),
    (host.judge_root, host.Root(False, False), "ok", "not in a container"),
    (host.judge_root, host.Root(True, False), "warning", "read_only: true"),
    (filesystem.judge_user, filesystem.User(4242, None), "ok", "4242"),
    (filesystem.judge_user, filesystem.User(4242, 4243), "warning", "sudo -u '#4243' nightshift"),
    (filesystem.judge_places, [PLACE, place(path=Path("/c"))], "ok", "/b and 1 more"),
    (filesystem.judge_places, [place(exists=False)], "ok", "/b"),
    (filesystem.judge_places, [place(exists=False, made_by_us=False)], "error", "mkdir -p /b"),
    (filesystem.judge_places, [place(writable=False)], "error", "chown -R"),
    (filesystem.judge_places, [place(read_only=True)], "error", "rw"),
    (
        filesystem.judge_disks,
        [filesystem.Volume(Path("/s"), 50 * GIB, GIB, None)],
        "ok",
        "no growth",
    ),
    (
        filesystem.judge_disks,
        [filesystem.Volume(Path("/s"), 50 * GIB, GIB, 0.0)],
        "ok",
        "no growth",
    ),
    (
        filesystem.judge_disks,
        [filesystem.Volume(Path("/s"), 50 * GIB, GIB, GIB)],
        "ok",
        "50 days",
    ),
    (
        filesystem.judge_disks,
        [filesystem.Volume(Path("/s"), 50 * GIB, GIB, 99.0)],
        "ok",
        "free at /s: more than 10 years",
    ),
    (filesystem.judge_disks, [filesystem.Volume(Path("/s"), 9 * GIB, GIB, GIB)], "error", "prune"),
    (filesystem.judge_disks, [filesystem.Volume(Path("/s"), GIB, 99 * GIB, None)], "error", "5%"),
    (
        filesystem.judge_disks,
        [filesystem.Volume(Path("/proc"), 0, 0, None)],
        "ok",
        "0 bytes free",
    ),
    (filesystem.judge_mount, filesystem.Mount(None, False), "ok", "not there"),
    (filesystem.judge_mount, filesystem.Mount(Path("/e/jobs.yaml"), False), "ok", "no inotify"),
    (
        filesystem.judge_mount,
        filesystem.Mount(Path("/e/jobs.yaml"), True),
        "error",
        "-v ./e:/e:ro",
    ),
    (service.judge_file, context(file=None, no_file="no jobs.yaml"), "error", "nightshift init"),
    (service.judge_file, GROUND, "error", "3 mistakes"),
    (service.judge_answers, GROUND, "info", "no supervisor has run"),
    (service.judge_answers, context(running=RunningService(7, "1.0")), "ok", "answers"),
    (service.judge_answers, context(running=RunningService(7, "0.9")), "error", "version 0.9"),
    (
        service.judge_answers,
        context(running=RunningService(7, "1.0", (ChannelState("ops", 2, "HTTP 404"),))),
        "error",
        "HTTP 404",
    ),
    (service.judge_init, service.Init("systemd", 7, True, 0), "ok", "process 1 is systemd"),
    (service.judge_init, service.Init("nightshift", 1, True, 1), "ok", "is process 1"),
    (service.judge_init, service.Init("tini", 7, True, 9), "error", "9 dead children of pid 7"),
    (service.judge_init, service.Init("tini", 7, False, 0), "error", "seccomp"),
    (service.judge_stop, service.Stop(30.0, "", None, False), "ok", "30s"),
    (service.judge_stop, service.Stop(30.0, "n.service", 45.0, False), "ok", "waits 45s"),
    (service.judge_stop, service.Stop(30.0, "n.service", 20.0, False), "error", "Sec=32"),
    (service.judge_stop, service.Stop(7.0, "", None, True), "ok", "7s"),
    (service.judge_stop, service.Stop(30.0, "", None, True), "warning", "stop_grace_period: 32s"),
    (schedules.judge_zones, schedules.Zones(("UTC",), "2025b", date(2026, 2, 9)), "ok", "2025b"),
    (schedules.judge_zones, schedules.Zones(("UTC",), "", date(2026, 2, 9)), "ok", "is there"),
    (
        schedules.judge_zones,
        schedules.Zones(("UTC",), "2021a", date(2026, 2, 9)),
        "warning",
        "tzdata",
    ),
    (
        schedules.judge_zones,
        schedules.Zones(("UTC",), "2025b", date(2026, 2, 9), "no"),
        "warning",
        "TZ",
    ),
    (schedules.judge_daylight, [], "ok", "60 days"),
    (schedules.judge_daylight, [("sync", "02:30 does not exist")], "info", "sync: 02:30"),
    (schedules.judge_usual, [], "ok", "too few"),
    (schedules.judge_usual, [schedules.Usual("sync", 60.0, 30.0, 9, 0)], "ok", "1 judged"),
    (
        schedules.judge_usual,
        [schedules.Usual("sync", 60.0, 55.0, 9, 0)],
        "error",
        "timeout: 1m50s",
    ),
    (schedules.judge_usual, [schedules.Usual("sync", 60.0, 9.0, 9, 2)], "error", "2 of 9 hit it"),
    (databases.judge_sources, [], "ok", "no job"),
    (
        databases.judge_sources,
        [databases.Source(Path("/d"), ("a", "b"), True, "", "")],
        "ok",
        "of a, b",
    ),
    (
        databases.judge_sources,
        [databases.Source(Path("/d"), ("a",), False, "x", "a")],
        "info",
        "run a",
    ),
    (
        databases.judge_sources,
        [databases.Source(Path("/d"), ("a",), False, "x", "")],
        "error",
        "not exist",
    ),
    (
        databases.judge_sources,
        [databases.Source(Path("/d"), ("a",), True, "is odd", "a")],
        "error",
        "is odd",
    ),
    (databases.judge_copies, [], "ok", "no job"),
    (
        databases.judge_copies,
        [databases.Copies("b", 3600.0, "", 172800.0, False)],
        "ok",
        "1h old",
    ),
    (
        databases.judge_copies,
        [databases.Copies("b", 190000.0, "", 172800.0, False)],
        "error",
        "run b --wait",
    ),
    (
        databases.judge_copies,
        [databases.Copies("b", None, "none in /b", 1.0, False)],
        "error",
        "none in /b",
    ),
    (
        databases.judge_copies,
        [databases.Copies("b", None, "none in /b", 1.0, True)],
        "info",
        "yet",
    ),
    (network.judge_servers, [], "ok", "no job"),
    (network.judge_servers, [network.Server(("h",), "is away")], "error", "is away"),
    (network.judge_servers, [network.Server(("h",), "")], "ok", "answers"),
    (network.judge_servers, [rights()], "ok", "rights it needs"),
    (network.judge_servers, [rights(temporary=False)], "error", 'TEMPORARY ON DATABASE "night"'),
    (network.judge_servers, [rights(schema=False)], "error", 'ON SCHEMA "catalogue" TO "cron"'),
    (network.judge_servers, [rights(schema=None)], "error", 'CREATE SCHEMA "catalogue"'),
    (network.judge_servers, [rights(schema=None, create=True)], "ok", ""),
    (network.judge_webhooks, [], "warning", "not sent anywhere"),
    (network.judge_webhooks, [network.Webhook("h:443", "")], "ok", "nothing was sent"),
    (network.judge_webhooks, [network.Webhook("h:443", "does not answer")], "error", "firewall"),
    (network.judge_webhooks, [network.Webhook("h:443", "", "proxy")], "info", "notify --test"),
    (
        network.judge_webhooks,
        [network.Webhook("channel phone", "", "protocol of its own")],
        "info",
        "channel phone goes through a protocol of its own",
    ),
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
    assert said in f"{loudest.value} {loudest.expected} {loudest.fix}"


@pytest.mark.parametrize(
    ("judge", "measured"),
    [(judge, measured) for judge, measured, state, _ in TABLE if state == State.ERROR],
)
def test_an_error_says_what_is_expected_and_how_to_fix_it(judge, measured):
    errors = [finding for finding in judge(measured) if finding.state is State.ERROR]

    assert errors
    for finding in errors:
        assert finding.value
        assert finding.expected
        assert finding.fix


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1min 30s", 90.0), ("45s", 45.0), ("500ms", 0.5), ("infinity", None), ("", None)],
)
def test_a_span_of_systemd_is_read(text, seconds):
    assert service.seconds_of(text) == seconds
