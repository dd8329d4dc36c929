"""Inherited process state: closed streams, signals, locales, environment.

The service works, and jobs find the documented defaults.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance import raw_client
from tests.acceptance.daemon import LIMIT_S, NIGHTSHIFT, Sandbox
from tests.waiting import until

TELL = """
import os, signal, sys
found = {
    "env": {k.decode("latin-1"): v.decode("latin-1") for k, v in os.environb.items()},
    "ignored": sorted(int(s) for s in signal.valid_signals()
                      if signal.getsignal(s) == signal.SIG_IGN and int(s) not in (13, 25)),
    "blocked": sorted(int(s) for s in signal.pthread_sigmask(signal.SIG_BLOCK, ())),
}
"""
WORKER = f"""{TELL}
import json
def tell(params, report):
    # What a worker starts in its turn is what counts.
    import subprocess
    env = dict(line.split("=", 1) for line in
               subprocess.run(["env"], capture_output=True).stdout.decode("latin-1").splitlines()
               if "=" in line)
    print(json.dumps(found | {{"env": env}}))
"""
JOBS = f"""
jobs:
  command: {{command: [{sys.executable}, -S, tell.py]}}
  shell: {{command: env}}
  bare: {{command: env, inherit_env: false}}
  elsewhere: {{command: 'env; pwd', cwd: folder}}
  dotted: {{command: 'env; pwd', cwd: folder/../folder}}
  limited: {{command: env, limits: {{open_files: 64}}, cwd: folder}}
  own-pwd: {{command: [env], env: {{PWD: mine}}}}
  worker: {{worker: "tell:tell"}}
  other: {{worker: "tell:tell", python: {sys.executable}}}
  umlaut: {{command: [printf, "%s", "größe €"], env: {{MASS: "größe €"}}}}
  umlaut-worker: {{worker: "umlaut:write", with: {{path: "größe €"}}}}
  umlaut-other: {{worker: "umlaut:write", with: {{path: "größe €"}}, python: {sys.executable}}}
"""
UMLAUT = """
def write(params, report):
    open(params["path"], "w").close()
    print(params["path"])
"""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        (sandbox.root / "folder").mkdir()
        (sandbox.root / "tell.py").write_text(WORKER + "print(__import__('json').dumps(found))\n")
        (sandbox.root / "umlaut.py").write_text(UMLAUT)
        del sandbox.environ["LANG"]
        yield sandbox


@contextmanager
def served(sandbox: Sandbox, prepare: Callable[[], object] | None = None) -> Iterator[int]:
    """Run a supervisor whose parent process called `prepare` first; yield its pid."""
    with open(sandbox.root / "log", "w+") as log:
        pipes = {"stdin": log, "stdout": log, "stderr": log}
        process = sandbox.begin("start", **pipes, preexec_fn=prepare)
        try:
            until(
                lambda: process.poll() is not None or raw_client.is_healthy(sandbox), within_s=10
            )
            assert process.poll() is None, Path(sandbox.root, "log").read_text(errors="replace")
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            status = process.wait(LIMIT_S)
    assert status == 0


def ended(sandbox: Sandbox, job: str) -> int:
    """Return the number of a run of this job that succeeded."""
    run = json.loads(sandbox.ask("run", job, "--wait", "--json", LANG="C.UTF-8").stdout)
    assert (run["state"], run["cause"]) == ("success", "")
    return int(run["id"])


def output(sandbox: Sandbox, job: str) -> bytes:
    return Path(sandbox.state, "runs", f"{ended(sandbox, job)}.log").read_bytes()


def environment(sandbox: Sandbox, job: str) -> dict[bytes, bytes]:
    lines = output(sandbox, job).splitlines()
    return dict(each.split(b"=", 1) for each in lines if b"=" in each)


# --- closed streams ---------------------------------------------------------------


def close(*descriptors: int) -> Callable[[], None]:
    def prepare() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return prepare


CLOSED = [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)]


@pytest.mark.parametrize("closed", CLOSED, ids=str)
def test_the_service_and_its_jobs_live_without_streams(sandbox: Sandbox, closed) -> None:
    with served(sandbox, close(*closed)) as pid:
        for descriptor in closed:
            assert os.readlink(f"/proc/{pid}/fd/{descriptor}") == "/dev/null"
        assert b"NIGHTSHIFT_JOB=shell" in output(sandbox, "shell")


@pytest.mark.parametrize("closed", CLOSED, ids=str)
def test_verbs_answer_by_their_status_without_streams(sandbox: Sandbox, closed) -> None:
    with served(sandbox):
        statuses = {
            verb: subprocess.run(
                [*NIGHTSHIFT, *verb.split()],
                cwd=sandbox.root,
                env=sandbox.environ,
                preexec_fn=close(*closed),
                timeout=LIMIT_S,
            ).returncode
            for verb in ("healthcheck", "status", "check", "run shell --wait", "show nothing")
        }

    assert list(statuses.values()) == [0, 0, 0, 0, 2]


# --- signals ----------------------------------------------------------------------


def ignore_and_block() -> None:
    """Ignore the signals that nohup, `&` and careless parents ignore, and block the rest."""
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM,
                   signal.SIGUSR1, signal.SIGRTMIN):  # fmt: skip
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())


@pytest.mark.parametrize("job", ["command", "worker", "other"])
def test_jobs_find_default_signals_and_an_empty_mask(sandbox: Sandbox, job: str) -> None:
    with served(sandbox, ignore_and_block):
        found = json.loads(output(sandbox, job).splitlines()[-1])

    assert (found["ignored"], found["blocked"]) == ([], [])


def test_a_status_is_not_lost_to_an_ignored_sigchld(sandbox: Sandbox) -> None:
    sandbox.config.write_text("jobs:\n  seven: {command: exit 7}\n")
    with served(sandbox, ignore_and_block):
        run = json.loads(sandbox.ask("run", "seven", "--wait", "--json").stdout)

    assert run["cause"] == "exit status 7"


# --- environment ------------------------------------------------------------------


@pytest.mark.parametrize("job", ["shell", "worker", "other", "limited"])
def test_a_service_without_a_locale_gives_none_to_its_jobs(sandbox: Sandbox, job: str) -> None:
    with served(sandbox):
        reported = output(sandbox, job)

    assert b"LC_CTYPE" not in reported
    assert b"LANG" not in reported


@pytest.mark.parametrize(
    ("job", "shown"),
    [
        ("shell", b"LC_CTYPE=C\n"),
        ("worker", b'"LC_CTYPE": "C"'),
        ("other", b'"LC_CTYPE": "C"'),
    ],
)
def test_a_locale_that_python_would_change_is_handed_on_as_it_was(
    sandbox: Sandbox, job: str, shown: bytes
) -> None:
    sandbox.environ["LC_CTYPE"] = "C"

    with served(sandbox):
        reported = output(sandbox, job)

    assert shown in reported


def test_a_job_finds_what_the_parent_had_and_what_is_documented(sandbox: Sandbox) -> None:
    sandbox.environ |= {"LATIN": os.fsdecode(b"caf\xe9 \xff"), "EMPTY": "", "OLDPWD": "/tmp",
                      "SHLVL": "3", "_": "/usr/bin/nightshift", "PWD": "/stale"}  # fmt: skip
    with served(sandbox):
        found = environment(sandbox, "shell")

    assert found[b"LATIN"] == b"caf\xe9 \xff"
    documented = {name for name in found if name.startswith(b"NIGHTSHIFT_")} | {b"TMPDIR", b"PWD"}
    given = {os.fsencode(name): os.fsencode(value) for name, value in sandbox.environ.items()}
    rest = {name: value for name, value in found.items() if name not in documented}
    # /bin/sh itself counts SHLVL and sets `_`.
    of_the_shell = {b"_", b"SHLVL", b"OLDPWD"}
    assert {n: v for n, v in rest.items() if n not in of_the_shell} == {
        n: v for n, v in given.items() if n not in documented | of_the_shell
    }


@pytest.mark.parametrize(
    ("job", "folder"),
    [("shell", ""), ("elsewhere", "folder"), ("dotted", "folder"), ("limited", "folder")],
)
def test_pwd_is_the_folder_of_the_job(sandbox: Sandbox, job: str, folder: str) -> None:
    sandbox.environ["PWD"] = "/stale"

    with served(sandbox):
        found = environment(sandbox, job)

    assert found[b"PWD"] == os.fsencode(sandbox.root / folder).rstrip(b"/")


def test_a_job_may_name_its_own_pwd_and_show_tells_it(sandbox: Sandbox) -> None:
    with served(sandbox):
        assert environment(sandbox, "own-pwd")[b"PWD"] == b"mine"
        shown = sandbox.json("show", "elsewhere", "--env")["environment"]

    assert shown["PWD"] == str(sandbox.root / "folder")
    assert "LC_CTYPE" not in shown


def test_a_bare_job_finds_the_documented_variables_and_no_other(sandbox: Sandbox) -> None:
    with served(sandbox):
        found = environment(sandbox, "bare")

    rest = {name for name in found if not name.startswith(b"NIGHTSHIFT_")}
    assert rest - {b"_", b"SHLVL", b"OLDPWD"} == {b"PATH", b"TMPDIR", b"PWD"}


def test_doubled_and_nameless_variables_harm_nothing(sandbox: Sandbox) -> None:
    raw = [f"{name}={value}".encode() for name, value in sandbox.environ.items()]
    raw += [b"TWICE=first", b"TWICE=second", b"=nameless", b"no value"]
    begin = (
        "import ctypes, os, sys\n"
        "argv, raw = sys.argv[1:], [each.encode('latin-1') for each in eval(sys.stdin.read())]\n"
        "words = (ctypes.c_char_p * (len(argv) + 1))(*map(os.fsencode, argv), None)\n"
        "env = (ctypes.c_char_p * (len(raw) + 1))(*raw, None)\n"
        "ctypes.CDLL(None).execve(words[0], words, env)\n"
    )
    said = [each.decode("latin-1") for each in raw]
    done = subprocess.run(
        [sys.executable, "-c", begin, *NIGHTSHIFT, "run", "shell", "--local"],
        input=repr(said),
        cwd=sandbox.root,
        env={**sandbox.environ, "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    (log,) = Path(sandbox.state, "runs").iterdir()
    assert b"TWICE=first\n" in log.read_bytes()


# --- locales ----------------------------------------------------------------------


@pytest.fixture(params=["ascii", "latin-1"])
def foreign(request: pytest.FixtureRequest, sandbox: Sandbox, tmp_path: Path) -> Sandbox:
    """Start a service in a locale whose encoding lacks many characters of its messages."""
    if request.param == "ascii":
        sandbox.environ |= {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
        return sandbox
    if shutil.which("localedef") is None:
        pytest.skip("there is no localedef(1)")
    name = "de_DE.ISO-8859-1"
    made = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(tmp_path / name)]
    if subprocess.run(made, capture_output=True).returncode:
        pytest.skip("the sources of locales are not installed")
    sandbox.environ |= {"LOCPATH": str(tmp_path), "LANG": name}
    return sandbox


@pytest.mark.parametrize("job", ["umlaut", "umlaut-worker", "umlaut-other"])
def test_definitions_are_utf_8_whatever_the_locale(foreign: Sandbox, job: str) -> None:
    foreign.environ["MINE"] = "größe €"
    with served(foreign):
        reported = output(foreign, job).rstrip(b"\n")
        found = environment(foreign, "shell")

    assert reported == "größe €".encode()
    assert found[b"MINE"] == "größe €".encode()
    assert found.get(b"LC_ALL") == (b"POSIX" if "LC_ALL" in foreign.environ else None)
    if job != "umlaut":
        assert (foreign.root / "größe €").exists()


def test_verbs_speak_utf_8_whatever_the_locale(foreign: Sandbox) -> None:
    done = subprocess.run(
        [*NIGHTSHIFT, "check"],
        cwd=foreign.root,
        env=foreign.environ,
        capture_output=True,
        timeout=LIMIT_S,
    )

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_reload_previous_goes_back_whatever_ends_the_lines(foreign: Sandbox, end: bytes) -> None:
    def write(description: str) -> None:
        text = f"jobs:\n  a:\n    command: 'true'\n    description: {description}\n"
        foreign.config.write_bytes(text.encode().replace(b"\n", end))

    write("größe")
    with served(foreign):
        write("small €")
        foreign.says("reload")
        write("small €")
        foreign.says("reload")

        foreign.says("reload", "--previous")

        assert '"description":"größe"' in foreign.says("show", "a", "--json").replace('": ', '":')
