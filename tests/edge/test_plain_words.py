"""A command of plain words has the same effect without a shell as with one."""

import os
import random
import stat
from pathlib import Path

import pytest

from supervisor.containment import program_search
from supervisor.core import events
from supervisor.core.config_model import ShellUse
from supervisor.core.plain_words import plain_words
from tests.edge.fixtures_keepers import Runner

AT_ONCE = 8
SHOW = r"""#!/bin/sh
printf '%s\n' "$0" "$@"
printf 'of %s in %s\n' "$(cat /proc/$$/comm)" "$PWD"
"""
# Files in the folder of the test, by path: mode and text.
FILES = {
    "first/show": (0o755, SHOW),
    "first/status": (0o755, "#!/bin/sh\necho problem >&2\nexit $1\n"),
    "first/killed": (0o755, "#!/bin/sh\nkill -9 $$\n"),
    "first/without-a-first-line": (0o755, "printf 'by a shell: %s\\n' $0 $1\n"),
    "first/empty": (0o755, ""),
    "first/no-interpreter": (0o755, "#!/nowhere/interpreter\n"),
    "first/text": (0o644, "only a text\n"),
    "first/twice": (0o644, "only a text, and executable in the second folder\n"),
    "second/twice": (0o755, SHOW),
    "first/folder/file": (0o644, ""),
    "second/folder": (0o755, SHOW),
    "here": (0o755, SHOW),
    "sub/show": (0o755, SHOW),
}
FIRST = (
    "show", "twice", "folder", "here", "./here", "sub/show", "./sub/show", "first/folder", "text",
    "status", "killed", "without-a-first-line", "first/without-a-first-line", "empty",
    "no-interpreter", "missing", "sub/missing", "env", "/bin/ls", "/usr/bin/env", "/", ".", "..",
    ":", "echo", "pwd", "true", "false", "exit", "exec", "command", "if", "fi", "do",
    "A=b", "A=b show", "=b", "%1", "-x", "--", "@", "+", ",", "show:", "12", "umask", "test", "[",
    "!", "{", "}", "~", "show;", "#", "#show", "sleep", "printf", "type", "kill",
)  # fmt: skip
WORDS = (
    "a", "7", "-n", "--flag=value", "=", "x=y", "A=~", "~", "~/x", "%F", "+%Y-%m-%d", "a:b", "a,b",
    "user@host", "/tmp", "..", "*", "f*", "[a-z]", "?", "{a,b}", "$HOME", "${X}", "$(echo x)",
    "`echo x`", "'quoted text'", '"double $A"', "a\\ b", "\\", "#comment", "a#b", "!", "!!", "^",
    "&&", "|", ";", ">/dev/null", "2>&1", "<here", "(", ")", "\u00e9", "\u00a0", "\r", "\n",
    "0", "255", "--", "-", "if", "done",
)  # fmt: skip
PLAIN = tuple(word for word in WORDS if plain_words(f"show {word}"))


def texts() -> list[str]:
    """Return some four hundred texts, half of them plain or nearly so."""
    dice = random.Random(1)
    found = [
        *FIRST,
        "",
        " ",
        "\t",
        " show",
        "show ",
        "\tshow\ta\t",
        "show a\n",
        "\nshow",
        "show\r",
    ]
    for words in (PLAIN, PLAIN, WORDS):
        for _ in range(110):
            blank = dice.choice((" ", " ", "  ", "\t", " \t"))
            rest = (dice.choice(words) for _ in range(dice.randrange(4)))
            found.append(blank.join([dice.choice(FIRST), *rest]))
    return list(dict.fromkeys(found))


@pytest.fixture
def runner(tmp_path):
    made = Runner(tmp_path / "runs")
    (tmp_path / "runs").mkdir()
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path):
    for name, (mode, text) in FILES.items():
        path = tmp_path / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    return tmp_path / "work"


def outcomes(runner: Runner, commands: list[str], **job) -> list[tuple[str, object]]:
    """Return output and wait status of each command, or why it did not start."""
    found = []
    for start in range(0, len(commands), AT_ONCE):
        runs = [runner.begin(shell=text, **job) for text in commands[start : start + AT_ONCE]]
        runner.until_ended(*runs)
        for run in runs:
            log = runner.runs_dir / f"{run}.log"
            said = (
                log.read_bytes().replace(b"job-%d\n" % run, b"").decode() if log.exists() else ""
            )
            ends = [
                e for e in runner.of(run) if isinstance(e, events.Exited | events.LaunchFailed)
            ]
            (end,) = [getattr(e, "wait_status", None) for e in ends]
            found.append((without_numbers(said), end))
    return found


def as_if_itself_killed(outcome: tuple[str, object]) -> tuple[str, object]:
    """Return the outcome of a shell that waited for a killed program as the program's own."""
    said, status = outcome
    return (said.removesuffix("Killed"), 9) if status == (128 + 9) << 8 else outcome


def without_numbers(said: str) -> str:
    """Return the output without the lines of `env` that differ from run to run."""
    lines = [line for line in said.splitlines() if not line.startswith("NIGHTSHIFT_")]
    is_of_env = any(line.startswith("PATH=") for line in lines)
    return "\n".join(sorted(lines) if is_of_env else lines)


def test_four_hundred_texts_do_the_same_as_with_the_shell(runner, folder):
    every = texts()
    path = ":".join((str(folder / "first"), str(folder / "second"), "/usr/bin", "/bin"))
    job = {"cwd": str(folder), "inherit_env": False, "env": (("PATH", path), ("LC_ALL", "C"))}

    assert sum(bool(plain_words(text)) for text in every) > 100
    directly = outcomes(runner, every, **job)
    by_shell = outcomes(runner, every, shell_use=ShellUse.ALWAYS, **job)

    assert [
        (text, mine, theirs)
        for text, mine, theirs in zip(every, directly, by_shell, strict=True)
        if as_if_itself_killed(mine) != as_if_itself_killed(theirs)
    ] == []


@pytest.mark.parametrize(
    "path", ["", ":", "/nowhere", "first::/bin", ":/bin", ".:/bin", "%x:/bin"]
)
def test_any_path_is_searched_as_by_the_shell(runner, folder, path):
    job = {"cwd": str(folder), "inherit_env": False, "env": (("PATH", path),)}
    every = ["show a", "here a", "ls", "missing", "text"]

    assert outcomes(runner, every, **job) == outcomes(
        runner, every, shell_use=ShellUse.ALWAYS, **job
    )


def test_a_missing_program_is_reported_in_the_words_of_the_shell(runner):
    ((said, status),) = outcomes(runner, ["no-such-program --at all"])

    assert "no-such-program" in said
    assert "not found" in said
    assert os.waitstatus_to_exitcode(status) == 127


def test_it_is_the_program_itself_that_runs(folder):
    order = an_order(folder, "show", "a")

    found = program_search.instead_of_shell(order, order["env"])

    assert found == f"{folder}/first/show"
    assert os.stat(found).st_mode & stat.S_IXUSR


@pytest.mark.parametrize(
    "changed",
    [
        {"PATH": ""},
        {"PATH": "/x%func:/bin"},
        {"PWD": "/"},
        {"SHELLOPTS": "xtrace"},
        {"BASHOPTS": "extdebug"},
        {"BASH_FUNC_show%%": "() { echo x; }"},
        {"a.b": "dash drops it"},
    ],
)
def test_an_environment_that_means_something_to_a_shell_is_left_to_it(folder, changed):
    order = an_order(folder, "show")
    order["env"] |= changed

    assert program_search.instead_of_shell(order, order["env"]) is None


def an_order(folder: Path, *words: str) -> dict:
    env = {"PATH": f"{folder}/first:/bin", "PWD": str(folder)}
    return {"words": words, "env": env, "cwd": str(folder), "bare": True}


@pytest.mark.parametrize(
    "text",
    [
        "a b", " a\tb ", "/usr/bin/find /srv/spool -mtime +7 -delete", "date +%F", "a x=y",
        "./run.sh user@host:/path 1,2",
    ],
)  # fmt: skip
def test_plain_words_are_split_at_blanks(text):
    assert plain_words(text) == tuple(text.split())


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "a;b", "a|b", "a&", "a>b", "a<b", "a *", "a ?", "a [b]", "a {b}", "a ~", "~/a",
        "a $B", "a `b`", "a 'b'", 'a "b"', "a \\b", "a #b", "! a", "A=b c", "%1", "a\nb", "a b\n",
        "a\r", "a\vb", "a\0b", "a \u00e9", "a\u00a0b", "a \u0663", "echo a", "cd /x", "exec a",
        ". a", "if a", "[ a ]", "(a)", "a^b",
    ],
)  # fmt: skip
def test_everything_else_is_left_to_the_shell(text):
    assert plain_words(text) == ()
