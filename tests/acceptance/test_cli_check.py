"""init, check, schema and next --cron: the verbs that need no supervisor."""

import json
import sqlite3
from collections.abc import Iterator

import pytest

from supervisor.config.channel_keys import kind_of_url
from tests.acceptance.daemon import Sandbox, supervised

JOBS = """
timezone: Europe/Berlin
jobs:
  night: {command: ["true"], cron: "30 2 * * *"}
  asked: {command: ["true"]}
"""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def test_init_writes_a_file_that_runs_as_it_is(sandbox: Sandbox) -> None:
    said = sandbox.says("init")
    text = sandbox.config.read_text()
    again = sandbox.ask("init")
    ran = sandbox.ask("run", "--all", "--local", "--yes")

    assert "jobs.yaml is written" in said
    assert "no mistakes" in sandbox.says("check")
    assert (again.returncode, sandbox.config.read_text()) == (1, text)
    assert ran.returncode == 0


def test_init_writes_where_config_points(sandbox: Sandbox) -> None:
    sandbox.says("init", "--config", "other.yaml")

    assert (sandbox.root / "other.yaml").exists()
    assert not sandbox.config.exists()
    assert sandbox.refuses("init", "--config", "no/folder.yaml")[0] == 1


def test_check_names_every_mistake_with_its_place(sandbox: Sandbox) -> None:
    sandbox.config.write_text("jobs:\n  a: {command: x, timeout: 5 parsecs, corn: '* * * * *'}\n")

    done = sandbox.ask("check")
    found = json.loads(sandbox.ask("check", "--json").stdout)

    assert done.returncode == 2
    assert 'jobs.yaml:2:28: jobs.a.timeout: expected a duration such as "5m"' in done.stdout
    assert 'did you mean "cron"?' in done.stdout
    assert (found["ok"], len(found["problems"])) == (False, 2)


def test_check_tells_of_a_disabled_job_what_it_would_refuse_in_another(sandbox: Sandbox) -> None:
    sandbox.config.write_text(f"{JOBS}\n  off: {{worker: nowhere.run, enabled: false}}\n")

    done = sandbox.ask("check")

    assert done.returncode == 0
    assert 'jobs.off.worker: warning: no built-in worker "nowhere.run"' in done.stdout
    assert "1 warning" in done.stdout


def test_check_warns_of_a_late_after_that_never_comes(sandbox: Sandbox) -> None:
    sandbox.config.write_text('jobs:\n  a: {command: x, cron: "*/5 * * * *", late_after: 1h}\n')

    said = sandbox.says("check")

    assert "jobs.yaml:2:52: jobs.a.late_after: warning: 1h is not shorter than the 5m" in said
    assert "1 job, no mistakes, 1 warning" in said


def test_check_tells_when_jobs_will_run_and_what_daylight_saving_does(sandbox: Sandbox) -> None:
    (sandbox.root / "new.yaml").write_text(JOBS)

    said = sandbox.says("check", "new.yaml")
    found = sandbox.json("check", "new.yaml")

    assert "new.yaml: 2 jobs, no mistakes" in said
    assert "At 02:30" in said
    assert "by request only" in said
    assert "Daylight saving:" in said
    assert "does not exist in Europe/Berlin" in said
    assert [len(job["next"]) for job in found["jobs"]] == [2, 0]
    assert found["difference"] is None


def test_check_beside_a_supervisor_tells_what_would_change(sandbox: Sandbox) -> None:
    sandbox.config.write_text(JOBS)
    with supervised(sandbox):
        same = sandbox.says("check")
        sandbox.config.write_text(JOBS.replace("30 2", "30 3").replace("asked", "other"))

        said = sandbox.says("check")

    assert "nothing would change" in same
    assert "night: cron: ['30 2 * * *'] -> ['30 3 * * *']" in said
    assert "added        other" in said
    assert "removed      asked" in said


def test_schema_is_a_json_schema(sandbox: Sandbox) -> None:
    assert json.loads(sandbox.says("schema"))["$schema"].startswith("https://json-schema.org/")


def test_next_of_an_expression_needs_no_supervisor(sandbox: Sandbox) -> None:
    words = ("--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "-n", "3")

    found = sandbox.json("next", *words, "--from", "2026-03-28T02:30:00+01:00")

    assert found == {
        "slots": [
            "2026-03-29T03:00:00+02:00",
            "2026-03-30T02:30:00+02:00",
            "2026-03-31T02:30:00+02:00",
        ]
    }
    assert "Sat 2026-03-28 02:30 CET" in sandbox.says("next", *words, "--from", "2026-03-28")


@pytest.mark.parametrize(
    "words",
    [
        ("--cron", "61 * * * *"),
        ("--cron", "0 0 30 2 *"),
        ("--cron", "@daily", "--timezone", "Mars/Base"),
        ("--cron", "@daily", "--from", "soon"),
        ("--cron", "@daily", "--from", "9999-12-31T23:59:00Z"),
        ("--cron", "@daily", "-n", "0"),
        ("hello", "--cron", "@daily"),
        ("--timezone", "UTC"),
    ],
    ids=" ".join,
)
def test_a_calendar_that_cannot_be_exits_2(sandbox: Sandbox, words: tuple[str, ...]) -> None:
    assert sandbox.refuses("next", *words)[0] == 2


def test_init_for_a_database_backs_it_up_and_runs_as_it_is():
    with Sandbox() as sandbox:
        with sqlite3.connect(sandbox.root / "shop.sqlite3") as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")

        sandbox.says("init", "--sqlite", "shop.sqlite3")

        assert "verified" in sandbox.says("run", "--all", "--local", "--yes")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--command", "x", "--schedule", "0 2 * *"), 'jobs.x.cron: cron "0 2 * *": expected 5'),
        (("--notify", "https://"), "notify.channels.alerts.slack: expected a URL"),
        (("--notify", "https://[::1/x"), "notify.channels.alerts.slack: expected a URL"),
        (("--schedule", "@daily"), "--schedule goes with --command or --sqlite"),
        (("--sqlite", ""), "--sqlite . is a folder"),
        (("--sqlite", "/etc"), "--sqlite /etc is a folder"),
    ],
)
def test_init_writes_nothing_that_check_would_refuse(
    sandbox: Sandbox, words: tuple[str, ...], said: str
) -> None:
    status, error = sandbox.refuses("init", *words)

    assert status == 2
    assert said in error
    assert not sandbox.config.exists()


def test_a_command_of_init_reaches_the_shell_as_it_was_typed(sandbox: Sandbox) -> None:
    text = """printf '%s|' "${HOME}" 'é "x"' > out; echo $((1 + 1)) >> out"""

    sandbox.says("init", "--command", text, "--schedule", "@daily")
    sandbox.says("run", "--all", "--local", "--yes")

    assert (sandbox.root / "out").read_text() == f'{sandbox.root}|é "x"|2\n'


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://hooks.slack.com/services/T0/B0/x", "slack"),
        ("http://127.0.0.1:8065/hooks/x", "slack"),
        ("https://discord.com/api/webhooks/1/x", "discord"),
        ("https://prod-1.westeurope.logic.azure.com/workflows/x", "teams"),
        ("https://discord.com.example.org/x", "slack"),
        ("ntfys://ntfy.sh/topic", "apprise"),
    ],
)
def test_the_url_says_of_which_kind_a_channel_is(url: str, kind: str) -> None:
    assert kind_of_url(url) == kind
