"""`GET /v1/backups`, and the recorded requester of each action, with the real service."""

import http.client
import json
import sqlite3
from collections.abc import Iterator

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.edge.fixtures_api import ask, ask_json, connect
from tests.waiting import until

JOBS = """
jobs:
  copy: {worker: backup.run, with: {database: cards.db, directory: copies}}
  away: {worker: backup.run, with: {database: cards.db, directory: nowhere/deep}}
  rotate: {worker: rotation.run, with: {directory: copies, keep_daily: 2}}
  hidden: {command: "true", env: {API_TOKEN: a-very-secret-value}}
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        with sqlite3.connect(sandbox.root / "cards.db") as db:
            db.execute("CREATE TABLE cards (name TEXT)")
            db.execute("INSERT INTO cards VALUES ('one')")
        with supervised(sandbox):
            sandbox.says("run", "copy", "--wait")
            yield sandbox


def test_copies_are_listed_with_what_rotation_will_do(sandbox: Sandbox) -> None:
    status, reported = ask_json(sandbox.socket, "/v1/backups")

    assert status == 200
    (copy,) = reported["backups"]
    assert (copy["state"], copy["stays"], copy["kept_by_hand"]) == ("verified", True, False)
    assert "daily 1/2" in copy["reason"]
    assert copy["size_bytes"] > 0
    assert [(folder["jobs"], bool(folder["error"])) for folder in reported["folders"]] == [
        (["copy"], False),
        (["away"], True),
    ]


def test_the_person_is_kept_beside_uid_and_pid(sandbox: Sandbox) -> None:
    connection = http.client.HTTPConnection("nightshift")
    connection.sock = connect(sandbox.socket)
    connection.request("POST", "/v1/jobs/copy/pause", "{}", {"Nightshift-User": "Ann%20B"})
    assert connection.getresponse().status == 200

    newest = sandbox.json("history", "--actions")["actions"][0]
    assert (newest["peer"]["user"], newest["verb"]) == ("Ann B", "pause")
    assert "Ann B, uid" in sandbox.says("history", "--actions", "-n", "1")


def test_pauses_and_incidents_come_as_events(sandbox: Sandbox) -> None:
    connection = http.client.HTTPConnection("nightshift")
    connection.sock = connect(sandbox.socket)
    connection.request("GET", "/v1/events")
    answer = connection.getresponse()
    sandbox.says("pause", "copy", "--reason", "disk")
    sandbox.ask("run", "away", "--wait")

    reported: dict[str, dict[str, object]] = {}

    def both() -> bool:
        line = answer.readline().decode()
        if line.startswith("event: "):
            reported[line.split()[1]] = json.loads(
                answer.readline().decode().removeprefix("data: ")
            )
        return {"pause", "incident", "run"} <= reported.keys()

    until(both)
    assert reported["pause"]["reason"] == "disk"
    assert reported["incident"]["job"] == "away"


def test_days_and_logs_in_parts_by_the_command_line(sandbox: Sandbox) -> None:
    counted = sandbox.json("history", "--days", "2")["jobs"]

    assert counted[0]["days"][-1]["success"] == 1
    assert "copy" in sandbox.says("history", "--days", "2")
    assert sandbox.says("logs", "copy", "--grep", "no such text") == ""
    assert sandbox.refuses("logs", "copy", "--grep", "x", "-f")[0] == 2


def test_the_text_in_force_is_shown_without_its_secrets(sandbox: Sandbox) -> None:
    status, text = ask(sandbox.socket, "/v1/config")

    assert status == 200
    assert b"worker: rotation.run" in text
    assert b"a-very-secret-value" not in text
