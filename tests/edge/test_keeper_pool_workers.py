"""Workers in their processes: their input, their messages, and their log."""

import os
import sys
import venv
from pathlib import Path

import pytest

from supervisor.core import events
from supervisor.core.effects import KillStep
from tests.edge.fixtures_keepers import Runner, exited, launch
from workers.protocol import Done, Failed, Garbage, Progress, Started


def test_messages_of_a_worker_come_before_its_exit(runner: Runner):
    happened = runner.run_to_end("return_input", params_json='{"name": "Ada"}')

    assert [
        type(event).__name__ for event in happened if isinstance(event, events.MessageReceived)
    ]
    words = [type(getattr(event, "message", event)).__name__ for event in happened]
    assert words == ["Started", "Started", "Progress", "Done", "Exited", "TreeEmpty"]
    assert runner.messages(1)[-1].result["name"] == "Ada"
    assert runner.log(1) == "hello from Ada\n"


def test_a_worker_gets_slot_dry_run_and_what_a_request_set(runner: Runner):
    given = launch(
        1,
        run={"set_json": '{"name": "Eve"}', "dry_run": True},
        worker="tests.sample_workers:return_input",
        params_json='{"name": "Ada"}',
    )

    runner.processes.launch(given, events.At(given.run.due, 0.0))
    runner.until_ended(1)

    assert runner.messages(1)[-1] == Done(
        {"name": "Eve", "dry": True, "slot": "2026-02-09 02:30:00+00:00"}
    )


@pytest.mark.parametrize(
    ("actor", "ending", "status"),
    [
        ("raise_value_error", Failed("ValueError: the moon is in the wrong house", False), 1),
        ("call_exit", Failed("exit status 3", False), 1),
        ("report_failure", Failed("nothing to be done", True), 1),
        ("raise_memory_error", Failed("out of memory (limits.address_space?)", False), 1),
        ("return_list", Failed("result.list is list; expected a number or text", True), 1),
        (
            "needs_missing_package",
            Failed(
                "worker tests.sample_workers:needs_missing_package needs the package "
                '"a_package_nobody_has", which this interpreter does not have',
                True,
            ),
            1,
        ),
        ("close_descriptors", None, 1),
        ("exit_silently", None, 0),
    ],
)
def test_each_ending_of_a_worker_has_its_words(runner: Runner, actor, ending, status):
    happened = runner.run_to_end(actor)

    assert os.waitstatus_to_exitcode(exited(happened)) == status
    assert [m for m in runner.messages(1) if isinstance(m, Done | Failed)] == (
        [] if ending is None else [ending]
    )


def test_a_crash_leaves_its_traceback_in_the_log(runner: Runner):
    runner.run_to_end("raise_value_error")

    assert "Traceback" in runner.log(1)
    assert "wrong house" in runner.log(1)


def test_half_a_message_is_garbage_before_the_exit(runner: Runner):
    happened = runner.run_to_end("exit_in_message")

    assert runner.messages(1) == [
        Started(),
        Garbage('half a line: b\'{"message": "done", "resu\''),
    ]
    assert isinstance(happened[-2], events.Exited)


def test_garbage_is_reported_and_harms_nothing(runner: Runner):
    runner.run_to_end("send_garbage")

    kinds = [type(message) for message in runner.messages(1)]
    assert kinds == [Started, Garbage, Garbage, Done]


def test_a_flood_of_messages_is_cut_off_once(runner: Runner):
    runner.run_to_end("send_endlessly")

    floods = [m for m in runner.messages(1) if isinstance(m, Garbage)]
    assert [flood.why for flood in floods] == ["a flood of more than 16 MiB of messages"]


def test_progress_is_thinned_out_and_the_last_one_kept(runner: Runner):
    runner.run_to_end("report_progress")

    progress = [m for m in runner.messages(1) if isinstance(m, Progress)]
    assert len(progress) <= 10
    assert progress[-1] == Progress(999, 999, "steps")


def test_a_worker_may_live_in_another_interpreter(runner: Runner, tmp_path: Path):
    venv.create(tmp_path / "other", with_pip=False, symlinks=True)
    python = str(tmp_path / "other" / "bin" / "python")
    (tmp_path / "elsewhere.py").write_text(
        "import sys\ndef where(params, report):\n    return {'prefix': sys.prefix}\n"
    )

    runner.run_to_end("elsewhere:where", python=python, cwd=str(tmp_path))

    assert runner.messages(1)[-1] == Done({"prefix": str(tmp_path / "other")})


def test_parameters_never_stand_on_a_command_line(runner: Runner):
    run = runner.begin("ignore_sigterm", python=sys.executable, params_json='{"token": "hunter2"}')
    runner.until_working(run)

    argv = Path(f"/proc/{runner.pid(run)}/cmdline").read_bytes()
    runner.force(run, KillStep.KILL)
    runner.until_ended(run)

    assert b"hunter2" not in argv
