"""docs/security.md: the facts it states about modes, descriptors, and what a job can reach."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import Sandbox, supervised
from tests.waiting import until
from tests.webhook import Webhook

WORKERS = """
import json, os
def look(params, report):
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
    print(json.dumps(links))
def leak(params, report):
    with open("given", "w") as file:
        file.write(params["token"])
    report.fail("refused with " + params["token"])
"""
JOBS = """
jobs:
  look: {worker: "own:look"}
  look-too: {command: "ls -l /proc/self/fd | sed -n 's/.*-> //p'"}
  secret: {command: "echo $WORD", env: {MY_TOKEN: "${file:secret}", WORD: "${file:secret}"}}
  leak: {worker: "own:leak", with: {token: "${file:secret}"}}
"""
SECRET = "correct horse"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        Path(sandbox.root, "own.py").write_text(WORKERS)
        Path(sandbox.root, "secret").write_text(SECRET)
        with supervised(sandbox):
            yield sandbox


def test_nothing_of_the_state_is_open_to_others(sandbox):
    sandbox.says("run", "secret", "--wait")
    found = [sandbox.state, *sandbox.state.rglob("*")]

    open_to_others = {str(path) for path in found if stat.S_IMODE(path.lstat().st_mode) & 0o077}

    assert len(found) > 5
    assert open_to_others == set()


def test_a_job_has_no_descriptor_of_the_ledger_or_the_socket(sandbox):
    for job in ("look", "look-too"):
        sandbox.says("run", job, "--wait")
        said = sandbox.says("logs", job)

        assert "/dev/null" in said
        assert str(sandbox.state) not in said.replace(str(sandbox.state / "tmp"), "")
        assert "ledger" not in said


def test_a_worker_has_no_socket_of_its_keeper(sandbox):
    sandbox.says("run", "look", "--wait")

    links = json.loads(sandbox.says("logs", "look").strip())

    assert "/dev/null" in links
    assert [link for link in links if link.startswith(("socket:", "anon_inode:"))] == []


def test_no_tcp_port_is_opened(sandbox):
    pid = sandbox.json("status")["pid"]
    sockets = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    tcp = Path(f"/proc/{pid}/net/tcp").read_text() + Path(f"/proc/{pid}/net/tcp6").read_text()

    inodes = {
        f"socket:[{line.split()[9]}]" for line in tcp.splitlines() if line.split()[9].isdigit()
    }

    assert any(name.startswith("socket:") for name in sockets)  # the UNIX sockets
    assert inodes & sockets == set()


def test_every_request_is_kept_with_the_uid_and_pid_of_who_asked(sandbox):
    sandbox.says("run", "look", "--wait")

    newest = sandbox.json("history", "--actions")["actions"][0]

    assert newest["peer"]["uid"] == os.getuid()
    assert newest["peer"]["pid"] > 0


def test_a_secret_file_is_masked_where_it_is_shown(sandbox):
    sandbox.says("run", "secret", "--wait")

    assert sandbox.says("logs", "secret").strip() == "***"
    assert SECRET not in sandbox.says("show", "secret", "--env")
    assert SECRET not in (sandbox.root / "log").read_text()
    # As the page says, the file itself holds the unmasked output.
    runs = [path.read_text() for path in (sandbox.state / "runs").iterdir()]
    assert any(SECRET in text for text in runs)


def test_a_secret_in_the_words_of_a_worker_is_not_even_kept(sandbox):
    sandbox.ask("run", "leak", "--wait")

    assert "refused with ***" in sandbox.says("explain", "leak")
    kept = [(sandbox.state / f"ledger.sqlite3{end}").read_bytes() for end in ("", "-wal")]
    assert SECRET.encode() not in b"".join(kept)


def test_a_secret_given_with_a_run_reaches_the_worker_and_is_kept_nowhere(sandbox):
    given = "swordfish-42"
    sandbox.ask("run", "leak", "--set", f"token={given}", "--wait")
    reported = [
        sandbox.says(*words) for words in (("explain", "leak"), ("incidents",), ("status",))
    ]

    kept = [(sandbox.state / f"ledger.sqlite3{end}").read_bytes() for end in ("", "-wal")]
    assert (sandbox.root / "given").read_text() == given
    assert "refused with ***" in reported[0]
    for text in (*reported, (sandbox.root / "log").read_text()):
        assert given not in text
    assert given.encode() not in b"".join(kept)
    assert b'{"token":"***"}' in b"".join(kept)


ECHO = "/services/T0/B0/sesame"


def test_what_is_secret_in_a_webhooks_url_is_in_no_answer():
    jobs = """
notify: {slack: "${HOOK}"}
heartbeat: "${HOOK}&self"
jobs: {a: {command: "exit 3", heartbeat: "${HOOK}&a"}}
"""
    with Webhook() as hook, Sandbox(jobs) as sandbox:
        # The path and the token of the URL are secret; the server echoes both.
        sandbox.environ["HOOK"] = f"{hook.url}?token=open-barley"
        echo = f"unknown {ECHO}?token=open-barley".encode()
        for _ in range(9):
            hook.answers(404, body=echo)
        with supervised(sandbox):
            sandbox.ask("run", "a", "--wait")
            until(lambda: hook.waiting < 7)
            said = [
                sandbox.ask("notify", "--test"),
                sandbox.ask("doctor"),
                sandbox.ask("doctor", "--json"),
            ]
            said += [sandbox.ask("status"), sandbox.ask("show", "a"), sandbox.ask("incidents")]
        texts = [each.stdout + each.stderr for each in said]
        texts.append((sandbox.root / "log").read_text())

    assert "did not arrive: 127.0.0.1 answered 404" in texts[0]
    assert "127.0.0.1" in texts[1]
    assert "heartbeat of a: 127.0.0.1 answered 404" in texts[-1]
    for text in texts:
        assert "sesame" not in text
        assert "barley" not in text
