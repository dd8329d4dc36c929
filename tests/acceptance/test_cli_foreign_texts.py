"""Worker output is shown literally: no markup, no template, no terminal control sequence."""

from collections.abc import Iterator

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.acceptance.terminal import at_terminal, plain

TEXT = "[red]x[/red] [/] {0} } {a.b[c]} %s %(x)s `b` <!channel> 'q' \"r\" :smile: \\n"
COMMANDS = "\x1b[31m\x07\x1b]0;title\x07"
JOBS = """
jobs:
  fails: {worker: "said:fail", description: "%s"}
  works: {worker: "said:work"}
"""
WORKERS = f"""
TEXT, COMMANDS = {TEXT!r}, {COMMANDS!r}

def fail(params, report):
    report.log(TEXT)
    report.progress(1, 2, TEXT)
    report.metric(TEXT, 1)
    report.fail(TEXT + COMMANDS)

def work(params, report):
    return {{"k": TEXT + COMMANDS}}
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    described = TEXT.replace("\\", "\\\\").replace('"', '\\"')
    with Sandbox(JOBS % described) as sandbox:
        (sandbox.root / "said.py").write_text(WORKERS)
        with supervised(sandbox):
            sandbox.environ |= {"TERM": "xterm-256color", "COLUMNS": "400"}
            sandbox.ask("run", "fails", "--wait")
            sandbox.ask("run", "works", "--wait")
            sandbox.says("pause", "works", "--reason", TEXT)
            yield sandbox


VERBS = [
    ("status",),
    ("jobs",),
    ("history",),
    ("explain", "fails"),
    ("show", "fails"),
    ("logs", "fails"),
    ("incidents",),
    ("run", "fails", "--wait"),
    ("run", "fails", "--local", "--state", "other"),
]


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_a_text_is_printed_as_it_is(sandbox: Sandbox, words: tuple[str, ...]) -> None:
    done = sandbox.ask(*words)

    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert TEXT in said
    assert "\x1b" not in said
    assert "\x07" not in said


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_a_text_is_drawn_as_it_is(sandbox: Sandbox, words: tuple[str, ...]) -> None:
    _, said = at_terminal(sandbox, *words)

    # Our own colours include red; the title and the bell can only come from the text.
    assert "Traceback" not in said
    assert TEXT in plain(said)
    assert "\x07" not in said
    assert "\x1b]" not in said


def test_the_answer_for_programs_holds_the_text_itself(sandbox: Sandbox) -> None:
    (run,) = [run for run in sandbox.json("history")["runs"] if run["job"] == "works"]

    assert run["result"]["k"] == TEXT + COMMANDS


@pytest.mark.parametrize(
    "words", [("run",), ("logs",), ("explain",), ("show",), ("history",)], ids=" ".join
)
def test_a_wrong_name_is_repeated_as_it_is(sandbox: Sandbox, words: tuple[str, ...]) -> None:
    name = TEXT.replace("/", "|")

    status, said = sandbox.refuses(*words, name)

    assert status in (1, 2)
    assert name in said
