"""Bad input for every verb: documented exit status, and never a traceback."""

import json
import shlex
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.acceptance.daemon import Sandbox, living
from tests.acceptance.terminal import at_terminal

JOBS = """
jobs:
  hello: {command: [/bin/echo, hi], cron: "@daily"}
"""
HUGE = "9" * 30
NAMED = ("show", "next", "history", "explain", "logs", "cancel", "run", "pause", "resume")
USAGE = [
    *(f"{verb} {name}" for verb in NAMED for name in ("nobody", "'jöb-☃ '", "''", "../x", "a/b")),
    *(f"{verb} surplus" for verb in ("status", "jobs", "reload", "schema", "doctor", "notify")),
    f"logs {HUGE}", "logs 99999", "logs ٣", "logs ²", f"cancel {HUGE}", "cancel 99999",
    "explain ² --run 1",
    f"history -n {HUGE}", "history -n 0", "history -n ten", "history --state odd",
    f"history --since {HUGE}d", "history --since 9999-12-31", "history --since -5d",
    f"next -n {HUGE}", "next hello -n 1001", "next --cron nonsense", "next --cron '0 0 30 2 *'",
    "next --cron '* * * * *' --timezone Mars/X", "next --cron '* * * * *' --from 9999-12-31T23:59",
    f"pause --for {HUGE}d", "pause hello --for -1", "pause --for 0", "explain hello --at never",
    f"incidents ack {HUGE}", "incidents ack 99999", "incidents ack x", f"incidents -n {HUGE}",
    "run", "run --all hello", "run --all", "run hello --set x=1", "run hello --dry-run",
    "run hello --set x", "stop --drain x", "stop --drain -5", "start hello",
    "start --log-level loud", "start --shutdown-grace x", "check /nonexistent", "check /dev/zero",
    "completion tcsh", "backups verify", "backups prune --keep-last 0", f"simulate --days {HUGE}",
    "--nonsense", "statsu", "''",
]  # fmt: skip
SAYS = [
    ("start hello", 'did you mean "nightshift run hello"?'),
    ("statsu", 'did you mean "status"?'),
    ("dcotor", 'did you mean "doctor"?'),
    ("next --cron '* * * * *' --from 9999-12-31T23:59", "--from"),
    ("next --cron '* * * * *' --from x", "Invalid value for --from"),
    ("next hello -n ٣", 'expected a whole number, got "٣"'),
    ("history -n 1_0", 'expected a whole number, got "1_0"'),
    ("history --days ' 2'", 'expected a whole number, got " 2"'),
    ("history --since 5min", 'did you mean "5m"?'),
    ("history --until 'PT2H'", 'did you mean "2h"?'),
    ("history --since x", "Invalid value for --since"),
    ("history --until x", "Invalid value for --until"),
    ("explain hello --at x", "Invalid value for --at"),
    ("pause --for 0", "expected a duration above 0"),
    ("pause hello --for 0s", "expected a duration above 0"),
    ("incidents ack 1 --for 0", "expected a duration above 0"),
    ("explain 00002 --run 1", "expected one run, got"),
    ("explain 99999999999 --run 1", "expected one run, got"),
    ("cancel ²", 'no job is called "²"'),
    ("logs ²", 'no job is called "²"'),
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with living(JOBS) as sandbox:
        yield sandbox


@pytest.mark.parametrize("words", USAGE)
def test_bad_input_is_a_usage_error(sandbox: Sandbox, words: str) -> None:
    status, said = sandbox.refuses(*shlex.split(words))

    assert (status, said.strip() != "") == (2, True)


@pytest.mark.parametrize(("words", "said"), SAYS)
def test_a_usage_error_suggests_the_right_word(sandbox: Sandbox, words: str, said: str) -> None:
    assert said in sandbox.refuses(*shlex.split(words))[1]


@pytest.mark.parametrize("socket", ["/nonexistent/sock", "/tmp", "jobs.yaml"])
@pytest.mark.parametrize("verb", ["status", "jobs", "history", "incidents", "next", "stop"])
def test_where_no_supervisor_listens_the_status_is_3(
    sandbox: Sandbox, verb: str, socket: str
) -> None:
    status, said = sandbox.refuses(verb, "--socket", socket)

    assert (status, socket in said) == (3, True)


@pytest.mark.parametrize(
    "words", ["history --since 5min", "history --until x", "explain a --at x"]
)
def test_what_is_no_time_is_a_usage_error_where_no_supervisor_listens(
    sandbox: Sandbox, words: str
) -> None:
    status, said = sandbox.refuses(*shlex.split(words), "--state", "/nonexistent")

    assert (status, "Invalid value for --" in said) == (2, True)


@pytest.mark.parametrize(
    "words", ["status", "run hello", "healthcheck", "stop", "next", "backups"]
)
def test_a_failure_that_no_supervisor_answers_is_json_too(sandbox: Sandbox, words: str) -> None:
    said = sandbox.ask(*shlex.split(words), "--json", "--state", "/nonexistent")

    assert said.returncode
    assert json.loads(said.stdout)["error"] in said.stderr.replace("\n  ", " ")


@pytest.mark.parametrize("verb", ["status", "history", "doctor", "healthcheck"])
def test_a_socket_of_another_program_is_refused(sandbox: Sandbox, verb: str) -> None:
    path = sandbox.root / "foreign"
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(path))
        foreign.listen()
        outsider = threading.Thread(target=_answer_without_http, args=(foreign,), daemon=True)
        outsider.start()

        said = sandbox.ask(verb, "--socket", str(path))

        assert (said.returncode, "Traceback" in said.stderr) == (1, False)
        assert "broke off" in said.stdout + said.stderr
    path.unlink()


def _answer_without_http(foreign: socket.socket) -> None:
    peer, _ = foreign.accept()
    with peer:
        peer.sendall(b"220 mail.example ESMTP\r\n")


@pytest.mark.parametrize(
    "words",
    [
        ("run",), (), ("explain",), ("cancel",), ("run", "hello", "--set"), ("pause", "--for"),
        ("history", "--state"), ("history", "--since"), ("start",), ("logs",),
        ("simulate", "--fail"), ("stop", "--drain"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_terminal_gets_no_control_character_of_an_argument(
    sandbox: Sandbox, words: tuple[str, ...]
) -> None:
    _, said = at_terminal(sandbox, *words, "\x1b[2Jx\x07\u202e")

    assert "\\x1b[2Jx\\x07\\u202e" in "".join(said.split())
    assert not set("\x1b\x07\u202e") & set(said)
