"""systemd units -> jobs.yaml: calendars compared with systemd's own, and single units."""

import shutil
import subprocess
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from supervisor.config import parse
from supervisor.config.problems import BadValueError
from supervisor.config.systemd.calendar import to_cron
from supervisor.config.systemd.convert import checked, jobs_yaml
from supervisor.config.systemd.exec_line import seconds
from supervisor.config.systemd.jobs import UnitJob, UnitLost, jobs_of
from supervisor.config.systemd.service import Machine
from supervisor.config.systemd.units import Unit, parse_unit
from supervisor.core import schedule
from supervisor.core.config_model import CatchUp

SINCE = datetime(2026, 11, 30, 10, 55, tzinfo=UTC)
MACHINE = Machine("/root", "cards")
LOST = ""

# A calendar expression, the resulting cron expression, and its zone.
CALENDARS = [
    ("minutely", "* * * * *", ""),
    ("hourly", "0 * * * *", ""),
    ("daily", "0 0 * * *", ""),
    ("Weekly", "0 0 * * 1", ""),
    ("monthly", "0 0 1 * *", ""),
    ("quarterly", "0 0 1 */3 *", ""),
    ("semiannually", "0 0 1 1,7 *", ""),
    ("annually", "0 0 1 1 *", ""),
    ("yearly", "0 0 1 1 *", ""),
    ("daily UTC", "0 0 * * *", "UTC"),
    ("hourly Europe/Berlin", "0 * * * *", "Europe/Berlin"),
    ("Mon..Fri *-*-* 10:00", "0 10 * * 1-5", ""),
    ("Mon-Fri 5:00", "0 5 * * 1-5", ""),
    ("Monday 5:00", "0 5 * * 1", ""),
    ("mon,tue, 5:00", "0 5 * * 1-2", ""),
    ("Mon,Wed..Fri 9..17:0/20", "*/20 9-17 * * 1,3-5", ""),
    ("Mon..Sun 10:00", "0 10 * * *", ""),
    ("Fri", "0 0 * * 5", ""),
    ("*-*-1..7 18:00:00", "0 18 1-7 * *", ""),
    ("Sat *-*-1..7 18:00", "0 18 * * 6#1", ""),
    ("Mon *-*-8..14 3:00", "0 3 * * 1#2", ""),
    ("Tue *-*-29..31", "0 0 * * 2#5", ""),
    ("Mon *-*-1,9 3:00", "0 3 */31,9 * 1", ""),
    ("Sun *-*-2,9 3:00", "0 3 2,9 * */7", ""),
    ("*-*~1 5:00", "0 5 L * *", ""),
    ("Mon *-*~07/1", "0 0 * * 1L", ""),
    ("Mon *-*~1..7", "0 0 * * 1L", ""),
    ("Mon *-*~7..1", LOST, ""),
    ("*-*-01,15 03:00", "0 3 1,15 * *", ""),
    ("*-*-1/5", "0 0 */5 * *", ""),
    ("*-1/3-1", "0 0 1 */3 *", ""),
    ("*-6/2-1 0:0", "0 0 1 6-12/2 *", ""),
    ("12-24 18:00", "0 18 24 12 *", ""),
    ("*-2-29", "0 0 29 2 *", ""),
    ("*:*", "* * * * *", ""),
    ("*:0/15", "*/15 * * * *", ""),
    ("*:7/15", "7-59/15 * * * *", ""),
    ("*:0,15,30,45", "*/15 * * * *", ""),
    ("0/2:30", "30 */2 * * *", ""),
    ("8..18/2:15", "15 8,10,12,14,16,18 * * *", ""),
    ("12,14,13:20,10,30", "10,20,30 12-14 * * *", ""),
    ("*-*-* 02:30:15 Europe/Berlin", "30 2 * * *", "Europe/Berlin"),
    ("*-*-* 3:00 CET", "0 3 * * *", "CET"),
    ("10:00 UTC", "0 10 * * *", "UTC"),
    ("*-*-* 4:00:5.5", "0 4 * * *", ""),
    ("*-*-*", "0 0 * * *", ""),
    # not expressible as cron
    ("*-*-* 4:00:0,30", LOST, ""),
    ("*-*-* 00:00:00/20", LOST, ""),
    ("2026-12-24 18:00", LOST, ""),
    ("2026..2028-*-* 5:00", LOST, ""),
    ("*-02~03", LOST, ""),
    ("Mon *-*-2,9 3:00", LOST, ""),
    # refused by systemd
    ("Sat..Mon 10:00", LOST, ""),
    ("*:*/15", LOST, ""),
    ("24:00", LOST, ""),
    ("*-*-* 5", LOST, ""),
    ("now", LOST, ""),
    ("", LOST, ""),
    ("*-4-31", LOST, ""),
]
IDS = [text or "nothing" for text, _, _ in CALENDARS]


@pytest.mark.parametrize(("text", "cron", "zone"), CALENDARS, ids=IDS)
def test_a_calendar_expression_becomes_the_same_cron(text: str, cron: str, zone: str) -> None:
    if cron == LOST:
        with pytest.raises(BadValueError):
            to_cron(text)
        return

    found = to_cron(text)

    assert (found.cron, found.zone) == (cron, zone)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize(("text", "cron", "zone"), CALENDARS, ids=IDS)
def test_the_slots_are_those_of_systemd(text: str, cron: str, zone: str) -> None:
    if cron == LOST:
        pytest.skip("it is not kept")
    if zone and not Path("/usr/share/zoneinfo", zone).exists():
        pytest.skip(f"systemd knows no zone {zone} here (Debian: tzdata-legacy)")
    command = ["systemd-analyze", "calendar", "--iterations=6"]
    done = subprocess.run(
        [*command, f"--base-time={SINCE:%Y-%m-%d %H:%M:%S} UTC", text],
        capture_output=True,
        text=True,
        env={"TZ": "UTC", "PATH": "/usr/bin:/bin", "LC_ALL": "C"},
    )
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    marked = [line for line in lines if line.startswith(("Next elapse:", "Iter"))]
    theirs = [
        datetime.strptime(" ".join(line.split()[-3:-1])[:16], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        for line in marked
    ]

    slots = schedule.calendar((cron,), zone or "UTC").slots_after(SINCE)

    assert theirs
    assert list(islice(slots, len(theirs))) == theirs


def job_of(timer: str, service: str, name: str = "job.timer") -> UnitJob | UnitLost:
    units = (
        Unit(name, parse_unit(f"[Timer]\n{timer}", name)),
        Unit(name.replace(".timer", ".service"), parse_unit(f"[Service]\n{service}", "s")),
    )
    [found] = jobs_of(*units, MACHINE)
    return checked(found)


def read(timer: str, service: str, name: str = "job.timer"):
    """Return the definition of a timer and a service, and the notes on it."""
    found = job_of(timer, service, name)
    assert isinstance(found, UnitJob), found
    parsed = parse(jobs_yaml([found]).encode(), Path("/srv/jobs.yaml"), {"TZ": "UTC"})
    assert parsed.problems == ()
    return parsed.config.jobs[0], " | ".join(found.notes)


DAILY = "OnCalendar=daily"


@pytest.mark.parametrize(
    ("service", "argv", "shell"),
    [
        ("ExecStart=/bin/x --a b", ("/bin/x", "--a", "b"), None),
        ("ExecStart=/bin/x \"a b\" 'c d' e\\x20f", ("/bin/x", "a b", "c d", "e f"), None),
        ("ExecStart=/bin/sh -c 'a ; b'", ("/bin/sh", "-c", "a ; b"), None),
        ("ExecStart=/bin/sh -c 'echo $HOME $$'", ("/bin/sh", "-c", "echo $HOME $"), None),
        ("ExecStart=/bin/x %i %n %% %h", ("/bin/x", "i-1", "job@i-1.service", "%", "/root"), None),
        ("ExecStart=@/bin/x name a", ("/bin/x", "a"), None),
        ("ExecStart=:/bin/x ${A}", ("/bin/x", "${A}"), None),
        ("ExecStart=/bin/x \\\n  # a comment\n  --long \\\n  y", ("/bin/x", "--long", "y"), None),
        ("ExecStart=/bin/a\nExecStart=\nExecStart=/bin/b", ("/bin/b",), None),
        ("ExecStart=/bin/a\nExecStart=/bin/b c", None, "/bin/a && /bin/b c"),
        ("ExecStart=/bin/a ; /bin/b \\; c", None, "/bin/a && /bin/b ';' c"),
        ("ExecStart=-/bin/a", None, "{ /bin/a || true; }"),
        ("ExecStart=/bin/a ${B}/c $D $$E", None, "/bin/a \"${B}\"/c $D '$'E"),
        (
            "ExecStartPre=/bin/p\nExecStart=/bin/a\nExecStartPost=/bin/q",
            None,
            "/bin/p && /bin/a && /bin/q",
        ),
    ],
)  # fmt: skip
def test_a_command_becomes_what_it_meant(service, argv, shell):
    job, _ = read(DAILY, f"Type=oneshot\n{service}", "job@i-1.timer")

    assert (job.argv, job.shell) == (argv, shell)


def test_the_keys_of_a_service_are_kept():
    job, notes = read(
        "OnCalendar=Mon..Fri 6:30\nOnCalendar=Sat 9:00\nPersistent=true",
        "Type=oneshot\nExecStart=/bin/x\nWorkingDirectory=/srv\n"
        "Environment=A=1 \"B=2 3\" 'C=${x}'\n"
        "TimeoutStartSec=1h 30min\nTimeoutStopSec=20\nNice=5\nLimitNOFILE=1024:4096\n"
        "LimitAS=1G\nSuccessExitStatus=3 TEMPFAIL\nUser=cards",
    )

    assert job.cron == ("30 6 * * 1-5", "0 9 * * 6")
    assert (job.catch_up, job.cwd, job.timeout_s, job.kill_grace_s, job.nice) == (
        CatchUp.LATEST, "/srv", 5400, 20, 5
    )  # fmt: skip
    assert dict(job.env) == {"A": "1", "B": "2 3", "C": "${x}"}
    assert (job.limits.open_files, job.limits.address_space) == (1024, 1024**3)
    assert job.success_exit_status == (0, 3, 75)
    assert notes == "LimitNOFILE=1024:4096: both limits are 1024"


@pytest.mark.parametrize(
    ("service", "timeout_s"),
    [
        ("Type=oneshot", None),
        ("Type=oneshot\nTimeoutStartSec=infinity", None),
        ("Type=oneshot\nTimeoutStartSec=0", None),
        ("Type=oneshot\nTimeoutSec=90", 90),
        ("TimeoutStartSec=90", None),
        ("RuntimeMaxSec=5min", 300),
    ],
)
def test_a_run_is_bounded_as_systemd_bounds_it(service, timeout_s):
    job, _ = read(DAILY, f"ExecStart=/bin/x\n{service}")

    assert job.timeout_s == timeout_s


def test_without_persistent_nothing_is_caught_up():
    for timer in (DAILY, f"{DAILY}\nPersistent=false", f"{DAILY}\nPersistent=true\nPersistent="):
        job, _ = read(timer, "ExecStart=/bin/x")

        assert job.catch_up is CatchUp.NONE


@pytest.mark.parametrize(
    ("timer", "cron", "startup"),
    [
        ("OnBootSec=5min", (), True),
        ("OnBootSec=5min\nOnUnitActiveSec=15min", ("*/15 * * * *",), True),
        ("OnUnitActiveSec=1h", ("0 * * * *",), False),
        ("OnUnitActiveSec=6h", ("0 */6 * * *",), False),
        ("OnUnitActiveSec=1d", ("0 0 * * *",), False),
        ("OnUnitInactiveSec=1min", ("* * * * *",), False),
        ("OnCalendar=daily\nOnCalendar=\nOnCalendar=hourly", ("0 * * * *",), False),
    ],
)
def test_intervals_and_resets_become_times(timer, cron, startup):
    job, notes = read(timer, "ExecStart=/bin/x")

    assert (job.cron, job.run_on_startup) == (cron, startup)
    assert ("Sec=" in timer) == bool(notes)


@pytest.mark.parametrize(
    ("timer", "service", "reason"),
    [
        ("OnUnitActiveSec=7min", "ExecStart=/bin/x", "no cron expression has the interval"),
        ("OnUnitActiveSec=30", "ExecStart=/bin/x", "no cron expression has the interval"),
        ("OnCalendar=2030-01-01", "ExecStart=/bin/x", "years cannot be kept"),
        ("AccuracySec=1s", "ExecStart=/bin/x", "the timer has no time"),
        (DAILY, "Type=oneshot", "has no ExecStart="),
        (DAILY, "ExecStart=/bin/x 'a", "a quote without its end"),
        (DAILY, "ExecStart=/bin/x %H", "the specifier %H"),
        (DAILY, "ExecStart=/bin/x\nNice=99", "expected Nice= from -20 to 19"),
        (DAILY, "Type=oneshot\nExecStart=/bin/x\nTimeoutStartSec=soon", "expected a time span"),
    ],
)
def test_what_cannot_be_kept_is_lost_with_its_reason(timer, service, reason):
    found = job_of(timer, service)

    assert isinstance(found, UnitLost)
    assert reason in found.reason
    assert f"# job.timer is not kept: {found.reason}" in jobs_yaml([found])


@pytest.mark.parametrize(
    ("timer", "service", "note"),
    [
        ("RandomizedDelaySec=10m", "", "a job begins at its full minute"),
        ("OnCalendar=2030-01-01", "", "OnCalendar=2030-01-01 is not kept: years"),
        ("OnCalendar=5:00:30", "", "not 30s after it"),
        ("", "EnvironmentFile=-/etc/default/x", "EnvironmentFile=-/etc/default/x: not read"),
        ("", "User=www-data", "User=www-data: jobs run as the user of the service (cards)"),
        ("", "Restart=on-failure", "retries and retry_delay"),
        ("", "Type=forking", "a daemon belongs to systemd"),
        ("", "ProtectSystem=full\nPrivateTmp=yes", "job.service: ProtectSystem= PrivateTmp="),
        ("", "ExecStart=+/bin/y", "ran with all rights"),
        ("", "Environment=1A=x", 'Environment="1A=x" is not kept'),
        ("", "SuccessExitStatus=SIGKILL", "only numbers are"),
        ("", "SuccessExitStatus=²", "only numbers are"),
        ("", "SuccessExitStatus=٣", "only numbers are"),
        ("WakeSystem=true", "", "not kept of job.timer: WakeSystem="),
    ],
)
def test_what_has_no_counterpart_is_a_note(timer, service, note):
    _, notes = read(f"{DAILY}\n{timer}", f"ExecStart=/bin/x\n{service}")

    assert note in notes


def test_times_in_several_zones_are_several_jobs():
    timer = Unit("a.timer", parse_unit("[Timer]\nOnCalendar=5:00 UTC\nOnCalendar=6:00\n", ""))
    service = Unit("a.service", parse_unit("[Service]\nExecStart=/bin/x\n", ""))

    text = jobs_yaml(jobs_of(timer, service, MACHINE))

    jobs = parse(text.encode(), Path("/srv/jobs.yaml"), {"TZ": "Asia/Tokyo"}).config.jobs
    assert [(job.name, job.cron, job.timezone) for job in jobs] == [
        ("a", ("0 5 * * *",), "UTC"),
        ("a-2", ("0 6 * * *",), "Asia/Tokyo"),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [("90", 90), ("5min 20s", 320), ("1h30m", 5400), ("2 days", 172800), ("infinity", None)],
)
def test_a_time_span_is_seconds(text, found):
    assert seconds(text) == found


def test_a_value_of_a_template_that_was_not_filled_in_is_noted():
    found = job_of("OnCalendar=daily", "ExecStart=/bin/echo {{ folder }} '{{.Names}}'")

    assert isinstance(found, UnitJob)
    assert found.notes == (
        "ExecStart={{ folder }}: if this is of a template, import what it makes",
    )
