"""Values for templates, made from answers of the API: no I/O, no clock."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from supervisor.config.definitions import definition_of
from supervisor.config.worker_check import ParameterField
from supervisor.core import build_views
from supervisor.core.calendar_views import DayCount, Days, JobDays, UpcomingSlot
from supervisor.core.config_model import Config, Job, Severity
from supervisor.core.decide import decide
from supervisor.core.events import At, Memory, Restored
from supervisor.core.model import Progress, Run, State, Trigger, replace
from supervisor.core.state import SchedulerState
from supervisor.core.views import Facts
from supervisor.web.ansi import LONGEST_LINE, AnsiLines
from supervisor.web.buttons import local_path
from supervisor.web.forecast import planned
from supervisor.web.strips import PastRun
from supervisor.web.views import calendar, job, jobs, parameters, replication, timeline
from supervisor.web.views.query import QueryError
from supervisor.web.views.states import icon_of
from supervisor.web.views.times import times

NOW = datetime(2026, 2, 9, 12, tzinfo=UTC)
HERE = times("UTC", "service", "", NOW)
JOBS = (
    Job("sync", 0, argv=("x",), cron=("0 13 * * *",), description="Sets and cards"),
    Job("backup", 1, argv=("x",), cron=("0 13 * * *",), exclusive="exclusive"),
    Job("report", 2, argv=("x",), cron=("0 13 * * *",), exclusive="exclusive"),
    Job("by-hand", 3, argv=("x",), enabled=False),
)


def run(number=1, state=State.SUCCESS, seconds=60.0, name="sync", ago_s=3600.0):
    began = NOW - timedelta(seconds=ago_s)
    ended = None if state.is_open else began + timedelta(seconds=seconds)
    made = Run(number, name, began, Trigger.SCHEDULE, state, started_at=began, ended_at=ended)
    return build_views.run_view(made)


def status_of(*runs):
    config = Config(JOBS, max_concurrent=2)
    memory = Memory(runs=runs, next_run=len(runs) + 1)
    world, _ = decide(SchedulerState(config), Restored(At(NOW, 1.0), config, memory))
    facts = Facts("1", 7, NOW, "/jobs.yaml", NOW)
    return build_views.status(world, facts, NOW, 1.0)


DEFINITIONS = tuple(definition_of(each, str) for each in JOBS)


def names(page):
    return [row.name for row in page.rows]


def shown(**query):
    failed = Run(1, "backup", NOW - timedelta(hours=1), Trigger.SCHEDULE, State.FAILED)
    return jobs.jobs_page(status_of(failed), DEFINITIONS, jobs.choice(query))


def test_jobs_are_in_the_order_of_the_file():
    assert names(shown()) == ["sync", "backup", "report", "by-hand"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "CARDS"}, ["sync"]),
        ({"q": "back"}, ["backup"]),
        ({"state": "failed"}, ["backup"]),
        ({"sort": "state"}, ["backup", "sync", "report", "by-hand"]),
        ({"sort": "name"}, ["backup", "by-hand", "report", "sync"]),
        ({"sort": "next"}, ["sync", "backup", "report", "by-hand"]),
        ({"q": "nothing"}, []),
        ({"page": "99"}, ["sync", "backup", "report", "by-hand"]),
    ],
)
def test_jobs_are_chosen_and_sorted(query, found):
    assert names(shown(**query)) == found


def test_an_empty_value_of_a_query_is_none():
    query = {"sort": "", "state": "", "page": "", "q": "x" * 999}

    assert jobs.choice(query) == jobs.Choice("x" * 200)


@pytest.mark.parametrize(
    "query", [{"sort": "x"}, {"state": "odd"}, {"page": "-1"}, {"page": "²"}, {"page": "0"}]
)
def test_what_makes_no_sense_in_a_query_is_a_mistake(query):
    with pytest.raises(QueryError, match="is not understood: expected"):
        jobs.choice(query)


def test_a_strip_tells_failures_by_shape_too():
    runs = [
        PastRun(n, State.FAILED if n == 2 else State.SUCCESS, NOW, 10.0 * n) for n in (1, 2, 3)
    ]

    bars = jobs.bars(runs)

    paths = dict(bars.paths)
    assert paths["success"].count("M") == 2
    assert paths["failed"].count("M") == 2  # one bar, in two pieces
    assert bars.words == "last 3: 2 success, 1 failed; longest 30s"
    assert jobs.bars([]).words == "no runs yet"


@pytest.mark.parametrize(
    ("progress", "percent", "words"),
    [
        (Progress(30, 120, "sets", 2.5), 25.0, "30 of 120 sets (2.5/s)"),
        (Progress(5, None, "rows"), None, "5 rows"),
        (Progress(2e9, 1e9, "bytes"), 100.0, "2.0 GB of 1.0 GB"),
        (Progress(-5, 10, ""), 0.0, "-5 of 10"),
        (Progress(1, 0, ""), None, "1 of 0"),
    ],
)
def test_progress_is_a_bar_and_words(progress, percent, words):
    bar = jobs.progress_bar(progress)

    assert (bar.percent, bar.words) == (percent, words)


def drawn(*runs, plans=(), hours=12):
    window = timeline.window(NOW, hours)
    return timeline.timeline(runs, plans, [each.name for each in JOBS], 2, window, HERE)


def test_a_run_is_a_bar_where_it_was():
    (row,) = drawn(run(ago_s=6 * 3600, seconds=3 * 3600)).rows

    assert (row.bars[0].left, row.bars[0].width) == (33.333, 16.667)
    assert "run 1" in row.bars[0].words


def test_what_began_before_the_window_is_clipped():
    (row,) = drawn(run(ago_s=20 * 3600, seconds=10 * 3600)).rows

    assert (row.bars[0].left, row.bars[0].is_clipped) == (0.0, True)


def test_what_ended_before_the_window_is_left_out():
    assert drawn(run(ago_s=20 * 3600)).rows == ()


def test_a_run_that_goes_on_reaches_to_now():
    (row,) = drawn(run(state=State.RUNNING, ago_s=4 * 3600)).rows

    assert row.bars[0].left + row.bars[0].width == pytest.approx(66.667)


def test_the_pool_is_full_where_runs_overlap():
    found = drawn(run(1, seconds=1800), run(2, name="backup", seconds=1800))

    assert found.most_running == 2
    assert found.pool_words == "At most 2 of 2 places taken at once"


def test_coming_runs_follow_the_rules_of_the_supervisor():
    seconds = {"sync": 60.0, "backup": 240.0, "report": 60.0}

    found = planned(status_of(), DEFINITIONS, seconds, NOW, NOW + timedelta(hours=2))

    began = {each.job: each.begin.minute for each in found}
    assert began == {"sync": 0, "backup": 0, "report": 4}  # one group: it waits


def test_ticks_are_full_hours_of_the_zone():
    berlin = times("Europe/Berlin", "service", "", NOW)
    window = timeline.window(NOW, 12)
    found = timeline.timeline([], [], [], 2, window, berlin)

    assert [label for _, label in found.ticks][:2] == ["02:00", "04:00"]


@pytest.mark.parametrize(
    ("at", "labels"),
    [
        (datetime(2026, 3, 29, 1, tzinfo=UTC), ["01:00", "03:00", "04:00"]),
        (datetime(2026, 10, 25, 1, tzinfo=UTC), ["02:00", "02:00", "03:00"]),
    ],
    ids=("forward", "back"),
)
def test_ticks_are_an_hour_apart_while_the_clock_changes(at, labels):
    window = timeline.Window(
        at - timedelta(minutes=90), at, at + timedelta(hours=2) - timedelta(minutes=30)
    )
    berlin = times("Europe/Berlin", "service", "", at)

    ticks = [
        tick
        for tick in timeline.timeline([], [], [], 2, window, berlin).ticks
        if tick[1].endswith(":00")
    ]

    assert [label for _, label in ticks] == labels
    assert [round(two[0] - one[0]) for one, two in pairwise(ticks)] == [33, 33]


def days(*counts):
    return Days("UTC", date(2026, 2, 1), date(2026, 2, 9), (JobDays("sync", counts),))


def test_a_good_day_is_plain_and_a_bad_one_says_what_was():
    good = DayCount(date(2026, 2, 3), success=4)
    bad = DayCount(date(2026, 2, 4), success=3, failed=1, skipped=2)

    (row,) = calendar.heat_map(days(good, bad), 1).rows

    assert row.plain.startswith("M22 0")
    assert (row.cells[0].kind, row.cells[0].bad) == ("failed", 0.167)
    assert row.cells[0].words == "Wed 4 Feb: 3 success, 1 failed, 2 skipped"
    assert row.words == "10 runs, 1 day with failures"


def test_a_busy_job_is_one_word_a_day():
    slots = [UpcomingSlot("sync", NOW + timedelta(minutes=15 * n)) for n in range(24)]
    once = [UpcomingSlot("backup", NOW + timedelta(days=1))]

    found = calendar.week(slots + once, None, ["sync", "backup"], HERE, 24)

    assert found.rows[0].cells == ("every 15m",) * 7
    assert found.rows[1].cells[:3] == ("", "12:00", "")


def test_a_rhythm_holds_while_the_clock_changes():
    begin = datetime(2026, 3, 28, 12, tzinfo=UTC)
    slots = [UpcomingSlot("sync", begin + timedelta(hours=n)) for n in range(24)]

    berlin = times("Europe/Berlin", "service", "", begin)
    (row,) = calendar.week(slots, None, ["sync"], berlin, 24).rows

    assert row.cells == ("every 1h",) * 7


def test_a_chart_has_a_bar_for_each_run_that_ran():
    runs = [run(n, seconds=10.0 * n) for n in (3, 2, 1)]

    chart = job.chart(runs)

    assert [bar[4] for bar in chart.bars] == [1, 2, 3]
    assert chart.bars[-1][2] == job.CHART_HEIGHT
    assert chart.words == "3 runs, median 20s, longest 30s"
    assert job.chart([]) is None


GIVEN = {"directory": "backups", "level": 3, "verify": True, "copies": ["/a", "/b"], "dsn": "***"}
KNOWN = (
    ParameterField("directory", "text", "a path", is_required=True),
    ParameterField("level", "whole", default=1),
    ParameterField("verify", "flag", default=False),
    ParameterField("copies", "json", "a list as JSON", default=[]),
    ParameterField("dsn", "text", default="", is_secret=True),
    ParameterField("mode", "choice", default="slow", choices=("fast", "slow")),
    ParameterField("age", "text", "a duration", default="2d", may_be_none=True),
    ParameterField("place", "json", "a text, or a mapping as JSON"),
    ParameterField("key", "text", default="abc", is_secret=True),
)


def form(**typed):
    """Return what a browser sends of the form when only these are typed."""
    shown = {each.name: each.value for each in parameters.fields(GIVEN, KNOWN)}
    kept = {**shown, "verify.shown": "1", **typed}
    return {f"set.{name}": value for name, value in kept.items() if value is not None}


def changed(known=KNOWN, **typed):
    return parameters.changed(parameters.fields(GIVEN, known), form(**typed))


def test_a_form_shows_values_defaults_and_no_secret():
    found = {each.name: each for each in parameters.fields(GIVEN, KNOWN)}

    assert {name: each.value for name, each in found.items()} == {
        "directory": "backups", "level": "3", "verify": "true", "copies": '["/a", "/b"]',
        "dsn": "", "mode": "slow", "age": "2d", "place": "", "key": "",
    }  # fmt: skip
    assert [name for name, each in found.items() if each.is_hidden] == ["dsn", "key"]
    assert "abc" not in repr(found)
    assert (found["level"].form, found["level"].default) == ("a whole number", "1")
    assert found["age"].form == "a duration, or none"


def test_a_form_that_is_left_as_it_is_sets_nothing():
    assert changed() == {}
    assert changed(copies='["/a",  "/b"]') == {}
    assert parameters.changed(parameters.fields(GIVEN, KNOWN), {}) == {}


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ({"directory": "other"}, {"directory": "other"}),
        ({"level": "9"}, {"level": 9}),
        ({"level": "many"}, {"level": "many"}),  # the worker's check names what was expected
        ({"verify": None}, {"verify": False}),
        ({"copies": '[{"url": "s3://b"}]'}, {"copies": [{"url": "s3://b"}]}),
        ({"dsn": "host=x"}, {"dsn": "host=x"}),
        ({"mode": "fast"}, {"mode": "fast"}),
        ({"age": "none"}, {"age": None}),
        ({"place": "/mnt/nas"}, {"place": "/mnt/nas"}),
        ({"place": '{"url": "s3://b"}'}, {"place": {"url": "s3://b"}}),
    ],
)
def test_a_form_sets_what_was_changed(typed, found):
    assert changed(**typed) == found


def test_fields_of_a_plain_worker_are_those_of_with_and_more_lines():
    shown = parameters.fields(GIVEN, None)
    typed = form(copies="[]", level="4") | {"more": 'allow_empty=true\nn = 5\nl=["a"]\n'}

    assert [(each.name, each.kind) for each in shown] == [
        ("directory", "text"), ("level", "number"), ("verify", "flag"), ("copies", "json"),
        ("dsn", "text"),
    ]  # fmt: skip
    assert parameters.changed(shown, typed) == {
        "level": 4, "copies": [], "allow_empty": True, "n": 5, "l": ["a"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "name"),
    [({"set.copies": "[1"}, "copies"), ({"more": "no equals"}, "further parameters"),
     ({"more": "=x"}, "further parameters"), ({"more": "a=[1"}, "further parameters")],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_by_name(typed, name):
    with pytest.raises(parameters.FieldError, match=f"{name}: expected") as refused:
        parameters.changed(parameters.fields(GIVEN, KNOWN), {**form(level="5"), **typed})

    assert list(refused.value.errors) == [name]
    assert refused.value.found == {"level": 5}


def test_what_was_typed_is_shown_again_but_for_secrets():
    shown = parameters.typed(
        parameters.fields(GIVEN, KNOWN), form(level="x", dsn="host=secret", verify=None)
    )

    found = {each.name: each.value for each in shown}

    assert {name: found[name] for name in ("level", "dsn", "verify")} == {
        "level": "x", "dsn": "", "verify": "false",
    }  # fmt: skip


def test_a_replica_shows_its_last_success():
    done = replace(run(2), result={"lag_seconds": 3.5, "inserted": 7, "odd": "text"})

    found = replication.replica("r", [run(3, State.FAILED), done])

    assert (found.newest.id, found.lag_seconds) == (3, 3.5)
    assert found.figures == (("lag_seconds", 3.5), ("inserted", 7), ("odd", "text"))
    assert replication.replica("r", []).figures == ()


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain <b>", "plain &lt;b&gt;\n"),
        ("\x1b[31mred\x1b[0m x", '<span class="a-f1">red</span> x\n'),
        ("\x1b[1;38;2;255;0;0mtrue\x1b[0m", '<span class="a-bold a-f1">true</span>\n'),
        ("10 %\r20 %\r30 %", "30 %\n"),
        ("a\x1b[2Jb\x1b]0;title\x07c\x07", "abc\n"),
        ("x\u202ey", "x\\u202ey\n"),
    ],
)
def test_output_is_text_with_classes(text, html):
    assert AnsiLines().html(text) == html


def test_a_long_line_is_cut():
    assert len(AnsiLines().html("x" * 100_000)) < LONGEST_LINE + 100


def test_a_colour_stays_until_it_is_reset():
    lines = AnsiLines()
    lines.html("\x1b[32mgreen")

    assert lines.html("still") == '<span class="a-f2">still</span>\n'


@pytest.mark.parametrize(
    ("severities", "last", "icon"),
    [([], [State.SUCCESS], "ok"), ([Severity.WARNING], [], "warn"), ([], [State.FAILED], "bad"),
     ([Severity.CRITICAL], [], "bad")],
)  # fmt: skip
def test_the_icon_is_that_of_the_worst(severities, last, icon):
    assert icon_of(severities, last) == icon


@pytest.mark.parametrize(
    ("choice", "browser", "name"),
    [("service", "Asia/Tokyo", "Europe/Berlin"), ("browser", "Asia/Tokyo", "Asia/Tokyo"),
     ("browser", "No/Where", "Europe/Berlin"), ("utc", "", "UTC"), ("x", "", "Europe/Berlin")],
)  # fmt: skip
def test_times_are_in_the_chosen_zone(choice, browser, name):
    found = times("Europe/Berlin", choice, browser, NOW)

    assert found.name == name
    assert found.zone == ZoneInfo(name)


@pytest.mark.parametrize(
    ("text", "path"),
    [("/jobs/a?b=c", "/jobs/a?b=c"), ("//evil", "/"), ("/\\evil", "/"), ("https://evil", "/"),
     ("", "/"), ("/a\nb", "/"), ("/é", "/")],
)  # fmt: skip
def test_only_a_path_of_this_page_is_returned_to(text, path):
    assert local_path(text) == path
