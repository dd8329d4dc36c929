"""Workers in their processes: what they are reported, say, and leave in the log."""

import os
import sys
import venv
from pathlib import Path

import pytest

from supervisor.core import events
from supervisor.core.effects import KillStep
from tests.edge.fixtures_keepers import Stage, exited, launch
from workers.protocol import Done, Failed, Garbage, Progress, Started


def test_a_worker_speaks_before_its_exit_is_reported(stage: Stage):
    happened = stage.play("greeter", params_json='{"name": "Ada"}')

    assert [
        type(event).__name__ for event in happened if isinstance(event, events.MessageReceived)
    ]
    words = [type(getattr(event, "message", event)).__name__ for event in happened]
    assert words == ["Started", "Started", "Progress", "Done", "Exited", "TreeEmpty"]
    assert stage.said(1)[-1].result["name"] == "Ada"
    assert stage.log(1) == "hello from Ada\n"


def test_a_worker_gets_slot_dry_run_and_what_a_request_set(stage: Stage):
    given = launch(
        1,
        run={"set_json": '{"name": "Eve"}', "dry_run": True},
        worker="tests.sample_workers:greeter",
        params_json='{"name": "Ada"}',
    )

    stage.processes.launch(given, events.At(given.run.due, 0.0))
    stage.until_ended(1)

    assert stage.said(1)[-1] == Done(
        {"name": "Eve", "dry": True, "slot": "2026-02-09 02:30:00+00:00"}
    )


@pytest.mark.parametrize(
    ("actor", "ending", "status"),
    [
        ("crasher", Failed("ValueError: the moon is in the wrong house", False), 1),
        ("quitter", Failed("exit status 3", False), 1),
        ("failing", Failed("nothing to be done", True), 1),
        ("glutton", Failed("out of memory (limits.address_space?)", False), 1),
        ("babbler", Failed("result.list is list; expected a number or text", True), 1),
        (
            "needs_missing_package",
            Failed(
                "worker tests.sample_workers:needs_missing_package needs the package "
                '"a_package_nobody_has", which this interpreter does not have',
                True,
            ),
            1,
        ),
        ("closer", None, 1),
        ("silent", None, 0),
    ],
)
def test_each_ending_of_a_worker_has_its_words(stage: Stage, actor, ending, status):
    happened = stage.play(actor)

    assert os.waitstatus_to_exitcode(exited(happened)) == status
    assert [m for m in stage.said(1) if isinstance(m, Done | Failed)] == (
        [] if ending is None else [ending]
    )


def test_a_crash_leaves_its_traceback_in_the_log(stage: Stage):
    stage.play("crasher")

    assert "Traceback" in stage.log(1)
    assert "wrong house" in stage.log(1)


def test_half_a_message_is_garbage_before_the_exit(stage: Stage):
    happened = stage.play("half_spoken")

    assert stage.said(1) == [Started(), Garbage('half a line: b\'{"message": "done", "resu\'')]
    assert isinstance(happened[-2], events.Exited)


def test_garbage_is_said_and_harms_nothing(stage: Stage):
    stage.play("garbler")

    kinds = [type(message) for message in stage.said(1)]
    assert kinds == [Started, Garbage, Garbage, Done]


def test_a_flood_of_messages_is_cut_off_once(stage: Stage):
    stage.play("flooder")

    floods = [m for m in stage.said(1) if isinstance(m, Garbage)]
    assert [flood.why for flood in floods] == ["a flood of more than 16 MiB of messages"]


def test_progress_is_thinned_out_and_its_last_word_kept(stage: Stage):
    stage.play("runner")

    progress = [m for m in stage.said(1) if isinstance(m, Progress)]
    assert len(progress) <= 10
    assert progress[-1] == Progress(999, 999, "steps")


def test_a_worker_may_live_in_another_interpreter(stage: Stage, tmp_path: Path):
    venv.create(tmp_path / "other", with_pip=False, symlinks=True)
    python = str(tmp_path / "other" / "bin" / "python")
    (tmp_path / "elsewhere.py").write_text(
        "import sys\ndef where(params, report):\n    return {'prefix': sys.prefix}\n"
    )

    stage.play("elsewhere:where", python=python, cwd=str(tmp_path))

    assert stage.said(1)[-1] == Done({"prefix": str(tmp_path / "other")})


def test_parameters_never_stand_on_a_command_line(stage: Stage):
    run = stage.begin("deaf", python=sys.executable, params_json='{"token": "hunter2"}')
    stage.until_working(run)

    argv = Path(f"/proc/{stage.pid(run)}/cmdline").read_bytes()
    stage.force(run, KillStep.KILL)
    stage.until_ended(run)

    assert b"hunter2" not in argv
