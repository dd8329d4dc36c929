"""Buttons and forms of the page: each does what it says and leads back."""

import pytest

from tests.waiting import until
from tests.web.conftest import DSN


@pytest.mark.parametrize(
    "back", ["//evil.example/", "https://evil.example/", "/\\evil.example", ""]
)
def test_a_button_leads_back_to_this_page_only(visitor, back):
    assert visitor.post("/times", {"times": "service", "back": back}).headers["location"] == "/"


def test_buttons_do_what_they_say(visitor, sandbox):
    assert visitor.post("/jobs/health/pause", {"for": "1h", "reason": "disk"}).status == 303
    assert "health: paused for 1h" in visitor.get("/").text
    assert "health: paused for 1h" not in visitor.get("/").text  # the message is shown once
    assert sandbox.json("show", "health")["status"]["is_paused"]
    visitor.post("/jobs/health/resume", {})
    assert not sandbox.json("show", "health")["status"]["is_paused"]
    visitor.post("/jobs/long-report/run", {})
    assert sandbox.json("history", "long-report", "-n", "1")["runs"][0]["trigger"] == "manual"
    visitor.post("/incidents/1/ack", {"for": "1d", "reason": "known"})
    assert sandbox.json("incidents")["incidents"][-1]["ack_reason"] == "known"
    visitor.post("/reload", {"back": "/config"})
    assert "jobs.yaml was read: nothing changed" in visitor.get("/config").text
    visitor.post("/notify-test", {})
    assert "no channel is configured" in visitor.get("/").text


def test_a_worker_runs_with_the_parameters_of_the_form(visitor, sandbox):
    text = visitor.get("/jobs/load/run").text
    assert 'name="set.source" value="incoming"' in text
    assert "the folder of the text files" in text
    assert "<option selected>slow</option>" in text
    assert 'type="number" step="1"' in text
    assert DSN not in text

    form = {"with-parameters": "1", "set.batch": "7", "set.mode": "fast", "set.dsn": ""}
    opened = visitor.post("/jobs/load/run", form)

    assert (opened.status, opened.headers["location"].startswith("/runs/")) == (303, True)
    run = opened.headers["location"].removeprefix("/runs/")
    until(lambda: "done" in sandbox.says("logs", run))
    assert f"7 fast {DSN[:4]}" in sandbox.says("logs", run).replace("***", DSN)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"set.batch": "many"}, "expected a whole number, got &#34;many&#34;"),
        ({"set.batch": "0"}, "expected at least 1, got 0"),
        ({"set.mode": "odd"}, "expected fast or slow, got &#34;odd&#34;"),
        ({"set.tags": "[1"}, "expected JSON"),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_reported_beside_its_field(visitor, sandbox, typed, said):
    before = sandbox.json("history", "load", "-n", "1")

    answer = visitor.post(
        "/jobs/load/run", {"with-parameters": "1", "set.source": "elsewhere", **typed}
    )

    assert answer.status == 422
    assert f'class="wrong">{said}' in answer.text
    assert 'name="set.source" value="elsewhere"' in answer.text
    assert sandbox.json("history", "load", "-n", "1") == before


def test_a_worker_that_cannot_be_read_has_the_fields_of_with(visitor):
    text = visitor.get("/jobs/lost/run").text

    assert "The worker cannot be read by this page" in text
    assert 'name="set.path" value="x"' in text
    assert 'name="more"' in text


def test_a_copy_is_verified_by_a_button(visitor, sandbox):
    (copy,) = {each["path"] for each in sandbox.json("backups")["backups"]}
    text = visitor.get("/backups").text
    assert f'name="copy" value="{copy}"' in text
    assert f"nightshift backups restore {copy} --target" in text

    opened = visitor.post("/verify", {"copy": copy})

    assert opened.headers["location"].startswith("/runs/")
    until(lambda: f"{copy}: verified, 1 rows" in visitor.get("/backups").text)
    newest = sandbox.json("history", "--actions", "-n", "1")["actions"][0]
    assert (newest["verb"], newest["what"]) == ("verify", copy)
    assert visitor.get("/runs?job=backups:verify").status == 200


def test_another_file_is_not_verified(visitor, sandbox):
    answer = visitor.post("/verify", {"copy": "/etc/passwd", "back": "/backups"})

    assert answer.headers["location"] == "/backups"
    assert "no such copy is listed" in visitor.get("/backups").text


def test_a_command_has_no_form(visitor):
    assert visitor.get("/jobs/health/run").status == 404
    assert "/jobs/health/run" not in visitor.get("/jobs/replicate").text
