"""Requests over the API, and their replies."""

import pytest

from supervisor.core import control_requests as req
from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.config_model import Notify
from tests.channels import notify_slack
from tests.core.core_harness import Harness, instant, job

SYNC = job("sync-sets", cron="0 2 * * *")
RESTORING = req.RestoreBackup("/b/cards.gz", "/data/cards")
VERIFYING = req.VerifyBackup("/b/cards.gz")


def harness():
    return Harness(
        SYNC,
        job("worker", worker="w.f"),
        job("off", cron="0 2 * * *", enabled=False),
        job("needs-off", deps=["off"]),
        job("busy", cron="30 0 * * *"),
    )


def busy():
    found = harness()
    found.at("00:30")
    return found


def all_off():
    return Harness(job("off", enabled=False))


ANSWERS = [
    ("run", harness, req.RunJobs(("sync-sets",)), "ok", ""),
    ("run two", harness, req.RunJobs(("sync-sets", "worker")), "ok", ""),
    ("run a dry run", harness, req.RunJobs(("worker",), dry_run=True), "ok", ""),
    ("run with parameters", harness, req.RunJobs(("worker",), set_json='{"a": 1}'), "ok", ""),
    ("run an unknown job", harness, req.RunJobs(("sync-set",)), "unknown",
     'no job is called "sync-set"'),
    ("run a disabled job", harness, req.RunJobs(("off",)), "conflict",
     "off is disabled in jobs.yaml"),
    ("run with a disabled dependency", harness, req.RunJobs(("needs-off",), with_deps=True),
     "conflict", "off is disabled in jobs.yaml"),
    ("run an open job", busy, req.RunJobs(("busy",)), "conflict", "busy: run 1 is still running"),
    ("dry run of a command", harness, req.RunJobs(("busy",), dry_run=True), "bad",
     "busy is a command"),
    ("parameters for a command", harness, req.RunJobs(("busy",), set_json='{"a": 1}'), "bad",
     "busy is a command and has no parameters"),
    ("run all", harness, req.RunAll(), "ok", ""),
    ("run all of these", harness, req.RunAll(("worker", "busy")), "ok", ""),
    ("run all with an unknown job", harness, req.RunAll(("nobody",)), "unknown",
     'no job is called "nobody"'),
    ("run all with a disabled job", harness, req.RunAll(("off",)), "conflict",
     "off is disabled in jobs.yaml"),
    ("run all while one is open", busy, req.RunAll(), "conflict", "busy: run 1 is still running"),
    ("run all where none is enabled", all_off, req.RunAll(), "conflict", "no job is enabled"),
    ("cancel a job", busy, req.CancelJob("busy"), "ok", ""),
    ("cancel an idle job", busy, req.CancelJob("worker"), "conflict", "no run of worker is open"),
    ("cancel an unknown job", busy, req.CancelJob("nobody"), "unknown",
     'no job is called "nobody"'),
    ("cancel a run", busy, req.CancelRun(1), "ok", ""),
    ("cancel a run that is not open", busy, req.CancelRun(77), "conflict", "run 77 is not open"),
    ("pause", harness, req.PauseJob("worker", 60), "ok", ""),
    ("pause all", harness, req.PauseJob("", None), "ok", ""),
    ("pause an unknown job", harness, req.PauseJob("nobody", 60), "unknown",
     'no job is called "nobody"'),
    ("resume what is not paused", harness, req.ResumeJob("worker"), "ok", ""),
    ("resume all", harness, req.ResumeJob(""), "ok", ""),
    ("resume an unknown job", harness, req.ResumeJob("nobody"), "unknown",
     'no job is called "nobody"'),
    ("acknowledge nothing", harness, req.AckIncident(9, 60), "unknown", "no open incident 9"),
    ("stop", harness, req.StopService(), "ok", ""),
    ("drain", busy, req.StopService(drain_s=60), "ok", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("scene", "request_", "answer", "error"),
    [pytest.param(*row, id=name) for name, *row in ANSWERS],
)
def test_a_request_has_exactly_one_answer(scene, request_, answer, error):
    reply = scene().asks(request_)

    assert (reply.answer, reply.error) == (answer, error)
    assert reply.token == 7


@pytest.mark.parametrize(
    ("scene", "request_"),
    [pytest.param(row[0], row[1], id=name) for name, *row in ANSWERS if row[2] != "ok"],
)
def test_a_request_that_is_not_granted_changes_nothing(scene, request_):
    asked = scene()
    before = repr(asked.scheduler)

    asked.asks(request_)

    assert repr(asked.scheduler) == before


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sync-set", 'did you mean "sync-sets"?'),
        ("wroker", 'did you mean "worker"?'),
        ("zzz", "nightshift jobs lists them"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(name, hint):
    assert harness().asks(req.RunJobs((name,))).hint == hint


@pytest.mark.parametrize(
    "request_",
    [req.RunJobs(("worker",)), req.RunAll(), RESTORING, VERIFYING],
    ids=["run", "run all", "restore", "verify"],
)
def test_a_stopping_service_runs_nothing_more(request_):
    stopping = busy()
    stopping.send(ev.StopAsked(stopping.clocks()))

    reply = stopping.asks(request_)

    assert (reply.answer, reply.error) == ("unavailable", "the supervisor is stopping")


def test_of_several_jobs_all_are_opened_or_none():
    asked = busy()

    asked.asks(req.RunJobs(("worker", "busy")))

    assert asked.runs("worker") == []


def test_a_job_named_twice_is_run_once():
    reply = harness().asks(req.RunJobs(("worker", "worker")))

    assert len(reply.runs) == 1


def test_the_reply_names_the_runs():
    asked = harness()

    reply = asked.asks(req.RunJobs(("worker", "sync-sets")))

    assert [asked.ledger.runs[run].job for run in reply.runs] == ["worker", "sync-sets"]


def test_a_manual_run_has_no_slot_and_is_due_now():
    asked = harness()
    asked.at("00:10:20")

    asked.asks(req.RunJobs(("worker",)))

    run = asked.run("worker")
    assert (run.trigger, run.slot, run.due) == ("manual", None, instant("2026-01-05 00:10:20"))


def test_parameters_are_for_the_named_job_and_not_for_its_dependencies():
    asked = Harness(job("a", worker="w.f"), job("b", worker="w.f", deps=["a"]))

    asked.asks(req.RunJobs(("b",), with_deps=True, set_json='{"n": 1}'))

    assert (asked.run("a").set_json, asked.run("b").set_json) == ("{}", '{"n": 1}')


def test_run_all_leaves_out_disabled_jobs():
    asked = harness()

    asked.asks(req.RunAll())

    assert asked.runs("off") == []
    assert len(asked.ledger.runs) == 4


def test_run_all_of_these_runs_these():
    found = harness()

    reply = found.asks(req.RunAll(("busy", "worker")))

    assert len(reply.runs) == 2
    assert found.runs("sync-sets") == found.runs("needs-off") == []


def test_run_all_skips_what_depends_on_a_failure():
    found = Harness(job("a"), job("b", deps=["a"]), job("c"))
    found.asks(req.RunAll())

    found.ends("a", status=1)

    assert found.states("b") == ["skipped"]
    assert found.live() == ["c"]


def test_jobs_asked_for_together_heed_each_other_with_deps_only():
    found = Harness(job("a"), job("b", deps=["a"]))

    found.asks(req.RunJobs(("a", "b")))

    assert found.live() == ["a", "b"]


def test_a_restore_is_a_run_that_waits_for_the_group_of_the_data():
    found = Harness(job("sync", exclusive="exclusive"))
    found.asks(req.RunJobs(("sync",)))

    [run] = found.asks(RESTORING).runs
    waits = found.waits("restore")
    again = found.asks(RESTORING)
    found.ends("sync")

    assert (found.run("restore").id, found.run("restore").trigger) == (run, "manual")
    assert waits == "waits for sync (run 1), which holds the group exclusive"
    assert again.error == f"restore: run {run} is still pending"
    assert found.live() == ["restore"]


def test_a_verification_is_a_run_beside_others_one_at_a_time():
    found = Harness(job("sync", exclusive="exclusive"))
    found.asks(req.RunJobs(("sync",)))

    [run] = found.asks(VERIFYING).runs
    again = found.asks(VERIFYING)
    live = found.live()
    cancelled = found.asks(req.CancelJob("backups:verify"))

    assert live == ["sync", "backups:verify"]
    assert again.error == f"backups:verify: run {run} is still running"
    assert again.hint == "nightshift cancel backups:verify"
    assert cancelled.runs == (run,)
    entry = found.ledger.askings[1]
    assert (entry.verb, entry.what, entry.answer) == ("verify", "/b/cards.gz", f"run {run}")


def test_cancelling_a_job_ends_all_its_open_runs():
    asked = Harness(job("a", overlap="queue"))
    asked.asks(req.RunJobs(("a",)))
    asked.asks(req.RunJobs(("a",)))

    reply = asked.asks(req.CancelJob("a"))

    assert reply.runs == (1, 2)
    assert asked.forces("a") == ["term"]
    assert asked.states("a") == ["running", "cancelled"]


def test_what_was_asked_and_answered_stands_in_the_ledger():
    asked = harness()

    asked.asks(req.RunJobs(("worker",)))
    asked.asks(req.CancelJob("nobody"))

    assert [(row.verb, row.what, row.answer) for row in asked.ledger.askings] == [
        ("run", "worker", "run 1"),
        ("cancel", "nobody", 'no job is called "nobody"'),
    ]
    assert asked.ledger.askings[0].peer.uid == 1000


def test_the_row_is_recorded_before_the_reply():
    asked = harness()

    asked.asks(req.RunJobs(("worker",)))

    kinds = [
        type(action.row).__name__ if isinstance(action, effects.Record) else type(action).__name__
        for action in asked.actions
    ]
    assert kinds.index("Run") < kinds.index("AuditEntry") < kinds.index("Reply")


@pytest.mark.parametrize(
    ("notify", "answer", "said"),
    [
        (notify_slack("http://127.0.0.1/slack"), "ok", "ok"),
        (Notify(), "conflict", "no channel is configured"),
    ],
    ids=["a channel", "none"],
)
def test_a_test_alert_is_granted_if_there_is_a_channel(notify, answer, said):
    found = Harness(SYNC, notify=notify)

    reply = found.asks(req.NotifyTest())

    assert reply.answer == answer
    assert [(each.verb, each.answer) for each in found.ledger.askings] == [("notify-test", said)]
