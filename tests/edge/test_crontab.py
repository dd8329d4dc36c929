"""crontab -> jobs.yaml: unusual lines one by one, and calendars that stay the same."""

import json
import os
import subprocess
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from pathlib import Path

import pytest
from cronsim import CronSim
from hypothesis import example, given, settings
from hypothesis import strategies as st

from supervisor.config import parse
from supervisor.config.crontab.anacrontab import is_anacrontab, read_anacrontab
from supervisor.config.crontab.convert import jobs_yaml
from supervisor.config.crontab.dialects import Dialect
from supervisor.config.crontab.kind import Kind, kind_of_path, kind_of_text
from supervisor.config.crontab.parse import Entry, Options, read, split_percent
from supervisor.config.crontab.settings import Lost
from supervisor.core import schedule
from supervisor.core.config_model import CatchUp, Overlap

TABLE = Path(__file__).parent / "crontab_table.txt"
CRONIE = Options(dialect=Dialect.CRONIE)
ENVIRON = {"TZ": "UTC", "HOME": "/home/me"}


@dataclass
class Case:
    """One case of the table."""

    title: str
    text: str = ""
    options: Options = field(default_factory=Options)
    jobs: list[dict] = field(default_factory=list)
    lost: list[tuple[int, str]] = field(default_factory=list)
    notes: dict[int, str] = field(default_factory=dict)


def cases():
    body = "\n".join(line for line in TABLE.read_text().split("\n") if line[:1] != "#")
    for block in body.strip("\n").split("\n\n"):
        title, *lines = block.split("\n")
        case = Case(title)
        for line in lines:
            _take(case, *line.partition(" ")[::2])
        yield case


def _take(case, sign, rest):
    if sign == "<":
        case.text += f"{rest}\n"
    elif sign == "u":
        case.options = replace(case.options, user=rest)
    elif sign == "cron":
        case.options = replace(case.options, dialect=Dialect(rest))
    elif sign == "!":
        number, reason = rest.split(" | ")
        case.lost.append((int(number), reason))
    elif sign == "=":
        name, cron, command = rest.split(" | ", 2)
        shell = command[3:].replace("\\nwait", "\nwait") if command[:3] == "sh " else None
        argv = None if shell is not None else tuple(json.loads(command))
        startup = cron == "startup"
        case.jobs.append({"name": name, "cron": () if startup else (cron,), "shell": shell,
                          "argv": argv, "run_on_startup": startup, "env": {}})  # fmt: skip
    elif sign == "env":
        name, _, value = rest.partition("=")
        case.jobs[-1]["env"][name] = value
    elif sign == "note":
        case.notes[len(case.jobs) - 1] = rest
    else:
        key = {"zone": "timezone", "cwd": "cwd", "says": "description"}[sign]
        case.jobs[-1][key] = rest


CASES = list(cases())


def imported(text, options=None):
    """Return the definitions of a crontab, whose jobs.yaml must be valid."""
    parsed = parse(jobs_yaml(read(text, options)).encode(), Path("/srv/jobs.yaml"), ENVIRON)
    assert parsed.problems == ()
    return parsed.config


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_an_awkward_line_becomes_what_it_meant(case):
    lost = [item for item in read(case.text, case.options) if isinstance(item, Lost)]

    assert [item.line for item in lost] == [number for number, _ in case.lost]
    for item, (_, reason) in zip(lost, case.lost, strict=True):
        assert reason in item.reason
    if not case.jobs:
        return
    found = imported(case.text, case.options).jobs
    assert len(found) == len(case.jobs)
    for job, wanted in zip(found, case.jobs, strict=True):
        reported = {name: getattr(job, name) for name in wanted} | {"env": dict(job.env)}
        assert reported == wanted
    entries = [item for item in read(case.text, case.options) if isinstance(item, Entry)]
    for place, entry in enumerate(entries):
        assert bool(entry.notes) == (place in case.notes), entry.notes
        assert case.notes.get(place, "") in " ".join(entry.notes)


def test_all_awkward_lines_together_are_one_file_without_a_mistake():
    texts = [
        case.text for case in CASES if case.options == Options() and "SHELL=bash" not in case.text
    ]
    text = "\n".join(text for text in texts if "CRON_TZ" not in text)

    config = imported(text)

    assert text.count("\n") > 80
    assert config.max_concurrent == len(config.jobs) > 35
    assert len({job.name for job in config.jobs}) == len(config.jobs)


def test_jobs_are_held_to_what_cron_did():
    [job] = imported("0 2 * * * x").jobs

    assert (job.timeout_s, job.retries, job.overlap) == (None, 0, Overlap.QUEUE)
    assert (job.catch_up, job.cwd) == (CatchUp.NONE, "/home/me")


def test_an_environment_that_all_share_is_written_once():
    text = jobs_yaml(read("PATH=/bin\n0 2 * * * x\n0 3 * * * y\n"))

    assert text.count("PATH: ") == 1
    assert [dict(job.env) for job in imported("PATH=/bin\n0 2 * * * x\n").jobs] == [
        {"PATH": "/bin"}
    ]


def test_what_is_lost_stays_as_a_comment_with_its_reason():
    text = jobs_yaml(read("0 2 * * * x\n@every 5m y\a\n@every 5m z\n"))

    assert "# line 2 is not kept: it holds a control character\n  #   @every 5m y\\x07" in text
    assert "# line 3 is not kept: @every is not known to cron" in text


@pytest.mark.parametrize(
    "times", ["1-² * * * *", "* * * ²-3 *", "0 0 * * mon-²", "*/² * * * *", "１ * * * *"]
)
def test_a_digit_of_another_kind_loses_its_line_alone(times):
    found = read(f"{times} x\n0 2 * * * y\n")

    assert [item.line for item in found if isinstance(item, Lost)] == [1]
    assert [item.command for item in found if isinstance(item, Entry)] == ["y"]


def test_what_is_not_utf_8_is_written_as_its_bytes():
    text = jobs_yaml(read("0 2 * * * echo caf\udce9\n0 2 * * * y\n"))

    assert "#   0 2 * * * echo caf\\xe9" in text


def test_comments_and_mail_stay_in_their_place():
    text = jobs_yaml(read("# first\n\nMAILTO=joe\n0 2 * * * x\n# last\n"))

    places = [text.index(words) for words in ("# first", "# MAILTO=joe", "command:", "# last")]
    assert places == sorted(places)


def test_an_empty_crontab_has_no_jobs():
    assert "jobs: {}" in jobs_yaml(read("# nothing\n"))


USERS = {"root", "cards"}
PROGRAMS = {"find", "rm"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("17 * * * * root run-parts /etc/cron.hourly\n", Kind.SYSTEM),
        ("17 * * * * root x\n@daily www-data y\nSHELL=/bin/sh\n# 0 0 * * * z\n", Kind.SYSTEM),
        ("0 5 * * * www-data /usr/bin/php /srv/x.php\n", Kind.SYSTEM),
        ("0 5 * * * cards /srv/x\n@reboot postgres x\n", Kind.SYSTEM),
        ("0 5 * * * git /usr/bin/tidy\n", Kind.SYSTEM),
        ("17 * * * * mail -s hello joe\n", Kind.USER),
        ("0 5 * * * sync\n", Kind.USER),
        ("17 * * * * root -b macro.C\n", Kind.USER),
        ("17 * * * * root\n", Kind.USER),
        ("0 5 * * * git pull\n0 6 * * * pg_dump shop\n", Kind.USER),
        ("0 5 * * * cd /srv && x\n0 6 * * * PGHOST=a pg_dump shop\n", Kind.USER),
        ("0 5 * * * git pull\n", Kind.UNCLEAR),
        ("17 * * * * root x\n18 * * * * echo hello\n", Kind.UNCLEAR),
        ("17 * * * * www-data x\n18 * * * * bob x\n", Kind.UNCLEAR),
        ("17 * * * * bob /usr/bin/x\n", Kind.UNCLEAR),
        ("17 * * * * bob /usr/bin/x\n18 * * * * joe cd /srv && x\n", Kind.UNCLEAR),
        ("17 * * * * bob /usr/bin/x\n18 * * * * find /srv -delete\n", Kind.USER),
        ("17 * * * * php7.4 /srv/cron.php\n", Kind.USER),
        ("17 * * * * python3 /srv/job.py\n", Kind.USER),
        ("17 * * * * find /tmp -mtime +1 -delete\n", Kind.USER),
        ("17 * * * * pg_dump shop\n", Kind.USER),
        ("17 * * * * www-data x\n18 * * * * /usr/bin/x\n", Kind.UNCLEAR),
        ("*/20 * * * * bob sh /srv/x\n10 4 * * * * bob /srv/y\n", Kind.UNCLEAR),
        ("{% if a in groups['b'] %}\n5 4 * * * root x\n{% endif %}\n", Kind.SYSTEM),
        ("*/20 * * * * * x\n", Kind.USER),
        ("", Kind.USER),
    ],
)
def test_whose_table_it_is_is_known_where_it_is_sure(text, expected):
    assert kind_of_text(text, USERS, PROGRAMS.__contains__).kind is expected


def test_the_line_that_makes_it_unclear_is_named():
    text = "A=b\n17 * * * * root x\n18 * * * * bob /y\n"

    found = kind_of_text(text, USERS, PROGRAMS.__contains__)

    assert (found.line, found.word) == (3, "bob")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/etc/crontab", Kind.SYSTEM),
        ("/srv/copies/host/etc/cron.d/certbot", Kind.SYSTEM),
        ("/var/spool/cron/crontabs/joe", Kind.USER),
        ("/var/spool/cron/joe", Kind.USER),
        ("/srv/crontab", Kind.UNCLEAR),
        ("/etc/cron.d/sub/x", Kind.UNCLEAR),
    ],
)
def test_some_paths_say_whose_table_it_is(path, expected):
    assert kind_of_path(path) is expected


ANACRONTAB = """\
SHELL=/bin/sh
RANDOM_DELAY=45
START_HOURS_RANGE=3-22
1\t5\tcron.daily\t\tnice run-parts /etc/cron.daily
7 25 cron.weekly nice run-parts /etc/cron.weekly
@monthly 45 cron.monthly nice run-parts /etc/cron.monthly
3 10 odd x
"""


def test_an_anacrontab_is_known_and_makes_up_for_missed_days():
    assert is_anacrontab(ANACRONTAB)
    assert not is_anacrontab("1 5 * * * nice x\n1 5 1 jan fri y\n@daily 5 x y\n")
    items = read_anacrontab(ANACRONTAB, Options())

    jobs = parse(jobs_yaml(items).encode(), Path("/srv/jobs.yaml"), ENVIRON).config.jobs

    assert [(job.name, job.cron) for job in jobs] == [
        ("cron.daily", ("5 3 * * *",)),
        ("cron.weekly", ("25 3 * * 1",)),
        ("cron.monthly", ("45 3 1 * *",)),
    ]
    assert {job.catch_up for job in jobs} == {CatchUp.LATEST}
    assert [item.line for item in items if isinstance(item, Lost)] == [7]


def test_a_carriage_return_is_no_blank():
    items = read("A=b\r\n\r\n0 2 * * * x\r\n0 3 * * * y\n")

    lost = [item for item in items if isinstance(item, Lost)]
    assert [(item.line, "carriage return" in item.reason) for item in lost] == [(3, True)]
    [job] = imported("A=b\r\n0 3 * * * y\n").jobs
    assert job.env == (("A", "b"),)


# --- invariants --------------------------------------------------------------------

SINCE = datetime(2026, 3, 1, tzinfo=UTC)  # contains New York's spring clock change
MONTH = timedelta(days=31)
MOST = 2000


def terms(low, high):
    number = st.integers(low, high)
    span = st.tuples(number, number).map(sorted).map(lambda pair: f"{pair[0]}-{pair[1]}")
    term = st.one_of(number.map(str), span)
    # cronsim reads `5-5/9` as `5-59/9`.
    wide = span.filter(lambda text: len(set(text.split("-"))) == 2)
    stepped = st.builds("{}/{}".format, st.one_of(st.just("*"), wide), st.integers(1, 9))
    return st.one_of(st.just("*"), st.lists(term, min_size=1, max_size=3).map(",".join), stepped)


expressions = st.tuples(terms(0, 59), terms(0, 23), terms(1, 28), terms(1, 12), terms(0, 6)).map(
    " ".join
)


@settings(deadline=None, max_examples=60)
@given(expressions)
@example("0 8 1,15 * 1")  # the day of the month or the day of the week
@example("0 8 */2 * 1")  # both
@example("30 2 * * *")  # moved by the clock change of the 8th
@example("*/20 1-3 * * *")
def test_the_slots_of_an_imported_job_are_those_of_the_line(expression):
    [job] = imported(f"CRON_TZ=America/New_York\n{expression} x\n", CRONIE).jobs
    calendar = schedule.calendar(job.cron, job.timezone)

    ours = list(islice(calendar.slots(SINCE, SINCE + MONTH), MOST))

    zone = schedule.zone("America/New_York")
    theirs = (slot.astimezone(UTC) for slot in CronSim(expression, SINCE.astimezone(zone)))
    until = SINCE + MONTH
    assert ours == list(islice(takewhile(lambda slot: slot <= until, theirs), MOST))


texts = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=40)


@settings(deadline=None, max_examples=200)
@given(st.lists(texts, min_size=1, max_size=5))
def test_any_text_is_kept_or_lost_and_never_breaks_the_file(lines):
    items = read("0 0 * * * first\n" + "\n".join(lines))

    parsed = parse(jobs_yaml(items).encode(), Path("/srv/jobs.yaml"), ENVIRON)

    assert parsed.problems == ()


@settings(deadline=None, max_examples=100)
@given(texts.map(lambda text: text.replace("&", "+")).filter(str.strip))
def test_a_command_reaches_the_shell_letter_by_letter(text):
    command, stdin = split_percent(text.strip().replace("%", r"\%"))
    line = text.strip().replace("%", r"\%")

    [job] = imported(f"0 0 * * * : {line}\n").jobs

    assert stdin is None
    assert job.shell == f": {command}"


@settings(deadline=None, max_examples=40)
@given(st.text(st.sampled_from("ab %\\'\"$`{}"), max_size=30))
def test_a_command_finds_the_input_that_cron_would_feed(text):
    [job] = imported(f"0 0 * * * cat; true #%{text}.\n").jobs

    found = subprocess.run(
        ["/bin/sh", "-c", job.shell], stdout=subprocess.PIPE, check=True, env=dict(os.environ)
    )

    assert found.stdout.decode() == fed_by_cron(f"{text}.")


def fed_by_cron(text):
    """Return what cron writes to a command's standard input: `%` is a line end, `\\%` a `%`."""
    out, is_escaped = "", False
    for letter in text:
        if is_escaped and letter != "%":
            out += "\\"
        elif not is_escaped and letter == "%":
            letter = "\n"
        is_escaped = letter == "\\"
        if not is_escaped:
            out += letter
    return out if out.endswith("\n") else f"{out}\n"
