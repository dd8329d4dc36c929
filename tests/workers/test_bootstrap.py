"""From assignment to final message, in a separate process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from workers import protocol
from workers.protocol import Done, Failed, Log, Message, Metric, Started

ROOT = Path(__file__).parents[2]
BEGIN = """
import sys
from workers import bootstrap
bootstrap.main(int(sys.argv[1]), int(sys.argv[2]))
"""

RunModule = Callable[..., tuple[int, list[Message], str]]


@pytest.fixture
def run_module(tmp_path: Path) -> RunModule:
    """Return a function that runs a module's `run`: (status, messages, output)."""

    def run(source: str, worker: str = "mine:run", **assignment: object):
        (tmp_path / "mine.py").write_text(source)
        said = {
            "worker": worker,
            "params": "{}",
            "set_json": "{}",
            "slot": "2026-02-09T02:30:00Z",
            "timezone": "Europe/Berlin",
            "dry_run": False,
            **assignment,
        }
        mine, theirs = os.pipe()
        reported = os.memfd_create("assignment", 0)
        os.write(reported, json.dumps({**said, "message_fd": theirs}).encode())
        os.lseek(reported, 0, os.SEEK_SET)
        ended = subprocess.run(
            [sys.executable, "-c", BEGIN, str(reported), str(os.getpid())],
            pass_fds=(reported, theirs),
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        os.close(theirs)
        os.close(reported)
        with open(mine, "rb") as pipe:
            messages = protocol.Lines().feed(pipe.read())
        return ended.returncode, messages, ended.stdout

    return run


def some_of(rows: list[tuple[object, ...]]) -> list[object]:
    """Mark all rows but three as long: each needs a process."""
    return [*rows[:3], *(pytest.param(*row, marks=pytest.mark.long) for row in rows[3:])]


def test_a_result_is_the_last_message(run_module: RunModule):
    assert run_module("def run(params, report): return {'rows': 3, 'note': 'ok'}") == (
        0,
        [Started(), Done({"rows": 3, "note": "ok"})],
        "",
    )


def test_no_result_is_an_empty_one(run_module: RunModule):
    _, messages, _ = run_module("def run(params, report): pass")

    assert messages[-1] == Done({})


def test_set_values_override_parameters(run_module: RunModule):
    _, messages, _ = run_module(
        "def run(params, report): return params",
        params='{"a": 1, "b": 2}',
        set_json='{"b": 3}',
    )

    assert messages[-1] == Done({"a": 1, "b": 3})


PARAMS = """
from dataclasses import dataclass
from pathlib import Path
@dataclass(frozen=True)
class Params:
    folder: Path
    keep: int = 7
"""


@pytest.mark.parametrize(
    "function",
    [
        "def run(params, report): return {'keep': params.keep, 'name': params.folder.name}",
        "def run(p: 'Params', report): return {'keep': p.keep, 'name': p.folder.name}",
    ],
    ids=["the module's Params", "its own annotation"],
)
def test_parameters_come_typed_where_they_are_declared(run_module: RunModule, function: str):
    _, messages, _ = run_module(PARAMS + function, params='{"folder": "/a/b", "keep": "3"}')

    assert messages[-1] == Done({"keep": 3, "name": "b"})


def test_bad_parameters_are_a_permanent_failure_that_names_them_all(run_module: RunModule):
    status, messages, _ = run_module(
        PARAMS + "def run(params, report): pass", params='{"keep": "many", "kep": 1}'
    )

    assert status == 1
    assert isinstance(messages[-1], Failed)
    assert messages[-1].permanent
    for key in ("keep", "kep", "folder"):
        assert key in messages[-1].error


def test_the_report_knows_slot_zone_and_dry_run(run_module: RunModule):
    _, messages, _ = run_module(
        "def run(params, report):\n"
        "    return {'slot': report.slot.isoformat(), 'zone': report.timezone,"
        " 'dry': report.dry_run, 'cancelled': report.cancelled}",
        dry_run=True,
    )

    assert messages[-1] == Done(
        {
            "slot": "2026-02-09T02:30:00+00:00",
            "zone": "Europe/Berlin",
            "dry": True,
            "cancelled": False,
        }
    )


def test_a_logged_line_is_reported_and_printed(run_module: RunModule):
    _, messages, text = run_module("def run(params, report): report.log('careful', 'warning')")

    assert messages[1] == Log("warning", "careful")
    assert text == "careful\n"


def test_printed_lines_keep_their_order_whatever_they_go_to(run_module: RunModule):
    _, _, text = run_module(
        "import sys\n"
        "def run(params, report):\n"
        "    print('one')\n"
        "    print('two', file=sys.stderr)\n"
        "    print('three \\udc80')"
    )

    assert text == "one\ntwo\nthree \\udc80\n"


def test_progress_is_sent_before_the_last_message(run_module: RunModule):
    _, messages, _ = run_module(
        "def run(params, report):\n"
        "    for n in range(5): report.progress(n, 4)\n"
        "    report.metric('m', 1.5)\n"
        "    raise ValueError('no')"
    )

    kinds = [type(message).__name__ for message in messages]
    assert kinds == ["Started", "Progress", "Metric", "Progress", "Failed"]
    assert messages[2] == Metric("m", 1.5)
    assert messages[3] == protocol.Progress(4, 4, "")


BAD_ENDS = [
    ("raise ValueError('no')", "ValueError: no", False),
    ("report.fail('no more')", "no more", False),
    ("report.fail('never', permanent=True)", "never", True),
    ("raise MemoryError", "out of memory (limits.address_space?)", False),
    ("raise SystemExit(4)", "exit status 4", False),
    ("raise SystemExit('bye')", "bye", False),
    ("raise KeyboardInterrupt", "KeyboardInterrupt: ", False),
    ("return [1]", "the worker returned list; expected a dict or None", True),
    ("return {'a': {}}", "result.a is dict; expected a number or text", True),
    ("return {1: 2}", "result: the key 1 is no text", True),
    ("return {'a': float('nan')}", "result.a is nan; expected a finite number", True),
    (
        "import yesterday.news",
        'worker mine:run needs the package "yesterday", which this interpreter does not have',
        True,
    ),
]


@pytest.mark.parametrize(("body", "error", "permanent"), some_of(BAD_ENDS))
def test_each_bad_end_has_its_message(
    run_module: RunModule, body: str, error: str, permanent: bool
):
    status, messages, _ = run_module(f"def run(params, report):\n    {body}")

    assert status == 1
    assert messages[1:] == [Failed(error, permanent)]


@pytest.mark.parametrize(
    ("worker", "error"),
    [
        ("mine:walk", "walk is not there in mine"),
        ("mine:number", "number is no function in mine"),
        ("nowhere.run", "no module nowhere"),
        ("protocol.nothing", "nothing is not there in workers.protocol"),
        ("package.module:run", "no module package.module"),
    ],
)
def test_a_worker_that_is_not_there_is_a_permanent_failure(run_module: RunModule, worker, error):
    _, messages, _ = run_module("number = 1", worker)

    (failed,) = messages[1:]
    assert failed.permanent
    assert failed.error.startswith(f"worker {worker}: {error}")


def test_a_worker_of_ones_own_that_is_not_there_is_named_with_the_folder(
    run_module: RunModule, tmp_path: Path
):
    _, messages, _ = run_module("", "package.module:run")

    assert f"looked for in {tmp_path}" in messages[1].error


def test_a_clean_exit_in_the_middle_is_a_good_end(run_module: RunModule):
    assert run_module("def run(params, report): raise SystemExit")[:2] == (
        0,
        [Started(), Done({})],
    )


def test_nothing_that_was_left_for_later_runs_at_the_end(run_module: RunModule):
    _, _, text = run_module(
        "import atexit\ndef run(params, report): atexit.register(print, 'too late')"
    )

    assert text == ""


def test_a_worker_whose_keeper_is_gone_does_not_begin():
    fd = os.memfd_create("assignment", 0)

    ended = subprocess.run([sys.executable, "-c", BEGIN, str(fd), "1"], pass_fds=(fd,), cwd=ROOT)
    os.close(fd)

    assert ended.returncode == -9


def test_an_end_that_the_supervisor_did_not_ask_for_says_what_came(run_module: RunModule):
    source = """
import os, signal
def run(params, report):
    os.kill(os.getpid(), signal.SIGTERM)
    report.fail("stopped after 3 files" if report.cancelled else "nothing came")
"""

    status, messages, _ = run_module(source)

    words = "ended by SIGTERM from outside: stopped after 3 files"
    assert (status, messages[-1]) == (1, Failed(words, permanent=False))


def test_work_that_is_done_in_spite_of_a_signal_is_done(run_module: RunModule):
    source = """
import os, signal
def run(params, report):
    os.kill(os.getpid(), signal.SIGTERM)
    return {"rows": 1}
"""

    status, messages, _ = run_module(source)

    assert (status, messages[-1]) == (0, Done({"rows": 1}))


ODD_ENDS = [
    ("report.fail(OSError('full'))", "full"),
    ("raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})()", "Odd: (its text"),
    ("import sys; sys.stderr.close(); raise ValueError('x')", "ValueError: x"),
    ("raise ValueError('caf\\udce9')", r"ValueError: caf\xe9"),
    ("raise SystemExit('caf\\udce9')", r"caf\xe9"),
    ("return {'n': 10 ** 5000}", "result.n is a number of 16610 bits"),
    ("return {'caf\\udce9': [1]}", r"result.caf\xe9 is list"),
]


@pytest.mark.parametrize(("source", "error"), some_of(ODD_ENDS))
def test_whatever_a_worker_does_one_final_message_is_sent(run_module: RunModule, source, error):
    _, messages, _ = run_module(f"def run(params, report): {source}")

    assert messages[1].error.startswith(error)


def test_a_line_for_people_is_said_though_the_worker_has_closed_its_output(run_module: RunModule):
    source = "def run(params, report):\n import sys; sys.stderr.close(); report.log('hello')"

    _, messages, _ = run_module(source)

    assert messages[1:] == [Log("info", "hello"), Done({})]
