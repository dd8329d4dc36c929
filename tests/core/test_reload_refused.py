"""A text of jobs.yaml that is refused: nothing changes, an incident says why until it is fixed."""

from supervisor.core import events as ev
from supervisor.core.config_model import Problem
from tests.core.core_harness import Harness, job

A = job("a", cron="0 2 * * *")


def test_a_bad_text_changes_nothing_and_opens_an_incident():
    harness = Harness(A)

    harness.refuses('expected a duration such as "5m", got "5 parsecs"')
    harness.at("02:00")

    assert harness.live() == ["a"]
    assert harness.words() == ["reload opened"]
    assert harness.incidents()[0].cause == (
        'jobs.yaml was refused: jobs.yaml:14:5: jobs.a: expected a duration such as "5m", '
        'got "5 parsecs"'
    )


def test_a_text_that_cannot_be_read_is_named_without_a_key():
    harness = Harness(A)

    harness.send(ev.ReloadRefused(harness.clocks(), (Problem(1, 1, "", "no such file"),)))

    assert harness.incidents()[0].cause == "jobs.yaml was refused: jobs.yaml:1:1: no such file"
    assert harness.status().config.error == "no such file"


def test_a_bad_text_stands_in_status_until_it_is_fixed():
    harness = Harness(A)
    harness.refuses("no")
    said = harness.status().config.error

    harness.reloads(A)
    harness.after(minutes=15)

    assert said == "jobs.a: no"
    assert harness.status().config.error == ""
    assert harness.words() == ["reload opened", "reload recovered"]


def test_the_same_bad_text_is_reported_once():
    harness = Harness(A)

    for _ in range(10):
        harness.refuses("no")
        harness.after(minutes=1)

    assert harness.incidents()[0].count == 1


def test_a_text_with_many_mistakes_names_the_first_and_counts_the_others():
    harness = Harness(A)
    problems = tuple(Problem(line, 1, "jobs", "bad") for line in (3, 4, 5))

    harness.send(ev.ReloadRefused(harness.clocks(), problems))

    assert harness.incidents()[0].cause.endswith("jobs.yaml:3:1: jobs: bad (and 2 more)")


def test_a_start_with_a_good_text_closes_the_incident_of_the_bad_one():
    harness = Harness(A)
    harness.refuses("no")
    harness.stops()

    harness.starts("01:00")
    harness.at("01:15")

    assert harness.words() == ["reload opened", "reload recovered"]


def test_a_file_that_could_not_be_read_here_is_not_called_refused():
    harness = Harness(job("a", cron="0 2 * * *"))

    harness.send(ev.ReloadRefused(harness.clocks(), (), "the state folder /s is read-only"))

    (problem,) = harness.incidents("")
    assert problem.cause == (
        "jobs.yaml could not be read again: the state folder /s is read-only; "
        "the text in force stays"
    )
    assert harness.scheduler.problems == ()
