"""status, jobs, show and next, with one running supervisor."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from tests.acceptance.daemon import Sandbox, living

JOBS = """
timezone: Europe/Berlin
jobs:
  hello:
    description: "says [bold]hi[/bold]"
    command: [/bin/echo, hi]
    cron: "30 2 29 2 *"
    env: {API_TOKEN: abc, PLACE: here}
  hourly: {command: "echo hourly", cron: "59 * * * *", timezone: America/New_York}
  asked: {command: ["true"], deps: [hello]}
  sleeping: {command: ["true"], cron: "* * * * *", enabled: false}
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with living(JOBS) as sandbox:
        yield sandbox


def test_status_shows_the_service_and_each_job(sandbox: Sandbox) -> None:
    sandbox.says("run", "hello", "--wait")

    lines = sandbox.says("status").splitlines()

    assert "times in Europe/Berlin" in lines[0]
    assert str(sandbox.config) in lines[1]
    assert "0 of 3 places taken" in lines[2]
    row = next(line for line in lines if line.startswith("hello"))
    assert row.split()[1] == "success"
    assert "disabled" in next(line for line in lines if line.startswith("sleeping"))


def test_status_in_json_is_what_the_api_says(sandbox: Sandbox) -> None:
    status = sandbox.json("status")

    assert status["timezone"] == "Europe/Berlin"
    assert status["pool"] == {"max": 3, "running": 0, "pending": 0}
    assert [job["name"] for job in status["jobs"]] == ["hello", "hourly", "asked", "sleeping"]


def test_jobs_lists_the_definitions_in_the_order_of_the_file(sandbox: Sandbox) -> None:
    lines = sandbox.says("jobs").splitlines()

    assert [line.split()[0] for line in lines] == ["JOB", "hello", "hourly", "asked", "sleeping"]
    assert "/bin/echo hi" in lines[1]
    assert "says [bold]hi[/bold]" in lines[1]
    assert sandbox.json("jobs")["jobs"][0]["name"] == "hello"


def test_show_prints_a_job_as_jobs_yaml_has_it(sandbox: Sandbox) -> None:
    text = sandbox.says("show", "hello")

    assert text.startswith("hello:\n  command: [/bin/echo, hi]\n  cron: 30 2 29 2 *\n")
    assert "timeout: 5m" in text
    assert "next    Tue 2028-02-29 02:30 CET" in text


def test_show_masks_what_is_called_like_a_secret(sandbox: Sandbox) -> None:
    text = sandbox.says("show", "hello", "--env")

    assert "API_TOKEN=***" in text
    assert "PLACE=here" in text
    assert "NIGHTSHIFT_JOB=hello" in text
    assert "NIGHTSHIFT_INSTANCE" not in text
    assert "abc" not in text
    assert sandbox.json("show", "hello", "--env")["environment"]["API_TOKEN"] == "***"


def test_a_job_that_nobody_knows_is_a_mistake_of_usage(sandbox: Sandbox) -> None:
    status, said = sandbox.refuses("show", "helo")

    assert status == 2
    assert 'no job is called "helo"' in said


def test_with_json_an_error_is_the_body_of_the_answer(sandbox: Sandbox) -> None:
    done = sandbox.ask("show", "helo", "--json")

    assert done.returncode == 2
    assert json.loads(done.stdout)["error"] == 'no job is called "helo"'
    assert done.stderr == ""


def test_next_of_a_job_is_reported_in_its_own_zone(sandbox: Sandbox) -> None:
    slots = sandbox.json("next", "hourly", "-n", "3")["slots"]

    instants = [datetime.fromisoformat(slot) for slot in slots]
    assert [later - sooner for sooner, later in pairwise(instants)] == [timedelta(hours=1)] * 2
    assert all(slot.endswith(("-04:00", "-05:00")) for slot in slots)
    assert "E" in sandbox.says("next", "hourly", "-n", "1").splitlines()[1].split()[3]


def test_next_of_all_jobs_is_in_order_of_time(sandbox: Sandbox) -> None:
    slots = sandbox.json("next", "-n", "30")["slots"]

    assert [slot["job"] for slot in slots] == ["hourly"] * 30
    assert slots == sorted(slots, key=lambda slot: datetime.fromisoformat(slot["slot"]))
    assert len(sandbox.says("next", "-n", "4").splitlines()) == 5


def test_coming_slots_are_a_calendar_for_other_programs(sandbox: Sandbox) -> None:
    icalendar = pytest.importorskip("icalendar")
    every = sandbox.says("next", "--ical", "--days", "2")
    named = sandbox.says("next", "--ical", "hourly", "hello", "--days", "366")
    status, said = sandbox.refuses("next", "hourly", "hello")

    starts = [event["DTSTART"].dt for event in icalendar.Calendar.from_ical(every).walk("VEVENT")]
    assert [later - sooner for sooner, later in pairwise(starts)] == [timedelta(hours=1)] * 47
    assert (named.count("SUMMARY:hourly"), named.count("SUMMARY:hello")) == (1000, 0)
    assert (status, "several with --ical" in said) == (2, True)
    assert sandbox.refuses("next", "--ical", "--json")[0] == 2
    assert sandbox.refuses("next", "--ical", "nobody")[0] == 2


def test_utc_is_reported_instead_of_the_zone_of_the_service(sandbox: Sandbox) -> None:
    assert "times in UTC" in sandbox.says("status", "--utc")
    assert "2028-02-29 01:30 UTC" in sandbox.says("next", "hello", "--utc", "-n", "1")


@pytest.mark.parametrize(
    "words",
    [("--state", "{state}", "status"), ("status", "--state", "{state}")],
    ids=["before the verb", "after the verb"],
)
def test_places_are_understood_on_both_sides_of_the_verb(
    sandbox: Sandbox, words: tuple[str, ...]
) -> None:
    typed = [word.format(state=sandbox.state) for word in words]

    assert sandbox.ask(*typed, NIGHTSHIFT_STATE_DIR="/nowhere").returncode == 0


def test_a_command_of_megabytes_is_a_short_column() -> None:
    long = "x" * 300_000
    jobs = f"""
jobs:
  text: {{command: "echo {long}\\necho two", description: "{long}"}}
  list: {{command: [echo, "{long}"], cron: "@daily"}}
  whole: {{command: "echo short"}}
"""
    with living(jobs) as sandbox:
        lines = sandbox.says("jobs").splitlines()
        shown = sandbox.json("jobs")["jobs"]

    assert len(lines) == 4
    assert max(map(len, lines)) < 300
    assert all("..." in line for line in lines[1:3])
    assert "echo short" in lines[3]
    assert shown[0]["command"].startswith(f"echo {long}")
