"""A file of another program given as jobs.yaml: one sentence says what it is."""

from pathlib import Path

import pytest

from supervisor import config
from tests.edge.test_config_hints import lines

JOBS = "jobs:\n  one:\n    command: x\n"
KUBERNETES = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: report}
spec:
  schedule: "0 2 * * *"
"""
WORKFLOW = """\
name: report
on:
  schedule:
    - cron: "0 2 * * *"
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - run: make report
"""
CRONSTABLE = """\
defaults:
  timezone: UTC
jobs:
  # by day
  - name: report
    command: make report
    schedule: "0 2 * * *"
"""
DAG = """\
from datetime import datetime
from airflow import DAG

with DAG("report", schedule="0 2 * * *", start_date=datetime(2024, 1, 1)) as dag:
    pass
"""


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (KUBERNETES, "a manifest of Kubernetes"),
        (f"{KUBERNETES}---\n{KUBERNETES}", "a manifest of Kubernetes"),
        ('{"apiVersion": "batch/v1", "kind": "CronJob"}', "a manifest of Kubernetes"),
        (WORKFLOW, "a workflow of GitHub Actions"),
        (CRONSTABLE, "a job file of cronstable or yacron"),
        ("services:\n  web:\n    image: nginx\n", "a file of docker compose"),
        ("stages: [a]\nb:\n  script: [make]\n", "a pipeline of GitLab"),
        ('schedule: "0 2 * * *"\nsteps:\n  - command: x\n', "a file of Dagu"),
        ('{"name": "a", "schedule": "@daily", "executor": "shell"}', "a job of Dkron"),
        ("apps:\n  - script: app.js\n", "a file of PM2"),
        ("- hosts: all\n  tasks: []\n", "a playbook of Ansible"),
        (DAG, "a DAG of Airflow"),
        ("import sys\nprint(1)\n", "a program of Python"),
        ('[job-exec "a"]\nschedule = @hourly\ncommand = x\n', "a configuration of ofelia"),
        ("[Timer]\nOnCalendar=daily\n", "a unit of systemd"),
        ('places = 4\n\n[jobs.a]\ncommand = "x"\n', "TOML or INI"),
        ("#!/bin/sh\nset -e\nx\n", "a script"),
        ('<?xml version="1.0"?>\n<plist/>\n', "XML or HTML"),
    ],
)
def test_a_file_of_another_program_is_one_problem(text: str, what: str) -> None:
    [found] = lines(text)

    assert f": is {what}, no jobs.yaml (" in found


@pytest.mark.parametrize(
    "text",
    [
        "# m h dom mon dow\nMAILTO=ops\n0 2 * * * /usr/bin/backup\n*/5 * * * * poll\n",
        "*/5 * * * * poll\n",
        "@daily poll\n",
        "@reboot poll: now\n0 2 * jan-mar mon-fri root x\n",
        "0\t2 * * * x\n",
    ],
)
def test_a_crontab_names_the_command_that_imports_it(text: str) -> None:
    [found] = lines(text)

    assert "is a crontab, no jobs.yaml" in found
    assert "rename it to crontab.txt" in found
    assert "nightshift import crontab crontab.txt > jobs.yaml" in found


def test_the_proposed_command_quotes_the_name_of_the_file() -> None:
    [problem] = config.parse(b"@daily x\n", Path("/srv/my jobs.yaml"), {"TZ": "UTC"}).problems

    assert "import crontab 'my jobs.yaml' > jobs.yaml" in problem.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{JOBS}    runs-on: x\n", "jobs.one.runs-on: unknown key"),
        (f"services: {{}}\n{JOBS}", "services: unknown key"),
        (f"kind: CronJob\napiVersion: v1\n{JOBS}", "kind: unknown key"),
        ("jobs:\n  - command: x\n", "expected a mapping, got a list"),
        (f"{JOBS}    cron: 0 2 * * \n", "cron"),
        ("hello", "expected a mapping"),
        (f"[a]: b\n{JOBS}", "expected a key"),
    ],
)
def test_a_mistake_in_a_jobs_yaml_stays_what_it_is(text: str, said: str) -> None:
    found = "\n".join(lines(text))

    assert said in found
    assert "no jobs.yaml" not in found


def test_an_empty_file_names_the_command_that_writes_one() -> None:
    assert "nightshift init" in lines("# nothing\n")[0]
