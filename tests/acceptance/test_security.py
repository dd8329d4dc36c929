"""docs/security.md where it states facts: modes, descriptors, what a job can and cannot reach."""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.daemon import House, supervised
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
  look: {worker: "house:look"}
  look-too: {command: "ls -l /proc/self/fd | sed -n 's/.*-> //p'"}
  secret: {command: "echo $WORD", env: {MY_TOKEN: "${file:secret}", WORD: "${file:secret}"}}
  leak: {worker: "house:leak", with: {token: "${file:secret}"}}
"""
SECRET = "correct horse"


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with House(JOBS) as house:
        Path(house.root, "house.py").write_text(WORKERS)
        Path(house.root, "secret").write_text(SECRET)
        with supervised(house):
            yield house


def test_nothing_of_the_state_is_open_to_others(house):
    house.says("run", "secret", "--wait")
    found = [house.state, *house.state.rglob("*")]

    open_to_others = {str(path) for path in found if stat.S_IMODE(path.lstat().st_mode) & 0o077}

    assert len(found) > 5
    assert open_to_others == set()


def test_a_job_has_no_descriptor_of_the_ledger_or_the_socket(house):
    for job in ("look", "look-too"):
        house.says("run", job, "--wait")
        said = house.says("logs", job)

        assert "/dev/null" in said
        assert str(house.state) not in said.replace(str(house.state / "tmp"), "")
        assert "ledger" not in said


def test_a_worker_has_no_socket_of_its_keeper(house):
    house.says("run", "look", "--wait")

    links = json.loads(house.says("logs", "look").strip())

    assert [link for link in links if link.startswith(("socket:", "anon_inode:"))] == []


def test_no_tcp_port_is_opened(house):
    pid = house.json("status")["pid"]
    sockets = {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}
    tcp = Path(f"/proc/{pid}/net/tcp").read_text() + Path(f"/proc/{pid}/net/tcp6").read_text()

    inodes = {
        f"socket:[{line.split()[9]}]" for line in tcp.splitlines() if line.split()[9].isdigit()
    }

    assert any(name.startswith("socket:") for name in sockets)  # the UNIX ones
    assert inodes & sockets == set()


def test_every_request_is_kept_with_the_uid_and_pid_of_who_asked(house):
    house.says("run", "look", "--wait")

    newest = house.json("history", "--actions")["actions"][0]

    assert newest["peer"]["uid"] == os.getuid()
    assert newest["peer"]["pid"] > 0


def test_a_secret_file_is_masked_where_it_is_shown(house):
    house.says("run", "secret", "--wait")

    assert house.says("logs", "secret").strip() == "***"
    assert SECRET not in house.says("show", "secret", "--env")
    assert SECRET not in (house.root / "log").read_text()
    # As the page says: the file itself holds what the job printed.
    runs = [path.read_text() for path in (house.state / "runs").iterdir()]
    assert any(SECRET in text for text in runs)


def test_a_secret_in_the_words_of_a_worker_is_not_even_kept(house):
    house.ask("run", "leak", "--wait")

    assert "refused with ***" in house.says("explain", "leak")
    kept = [(house.state / f"ledger.sqlite3{end}").read_bytes() for end in ("", "-wal")]
    assert SECRET.encode() not in b"".join(kept)


def test_a_secret_given_with_a_run_reaches_the_worker_and_is_kept_nowhere(house):
    given = "swordfish-42"
    house.ask("run", "leak", "--set", f"token={given}", "--wait")
    told = [house.says(*words) for words in (("explain", "leak"), ("incidents",), ("status",))]

    kept = [(house.state / f"ledger.sqlite3{end}").read_bytes() for end in ("", "-wal")]
    assert (house.root / "given").read_text() == given
    assert "refused with ***" in told[0]
    for text in (*told, (house.root / "log").read_text()):
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
    with Webhook() as hook, House(jobs) as house:
        # Both parts that whoever knows may call it with; the server repeats them.
        house.environ["HOOK"] = f"{hook.url}?token=open-barley"
        echo = f"unknown {ECHO}?token=open-barley".encode()
        for _ in range(9):
            hook.answers(404, body=echo)
        with supervised(house):
            house.ask("run", "a", "--wait")
            until(lambda: hook.waiting < 7)
            said = [
                house.ask("notify", "--test"),
                house.ask("doctor"),
                house.ask("doctor", "--json"),
            ]
            said += [house.ask("status"), house.ask("show", "a"), house.ask("incidents")]
        texts = [each.stdout + each.stderr for each in said]
        texts.append((house.root / "log").read_text())

    assert "did not arrive: 127.0.0.1 answered 404" in texts[0]
    assert "127.0.0.1" in texts[1]
    assert "heartbeat of a: 127.0.0.1 answered 404" in texts[-1]
    for text in texts:
        assert "sesame" not in text
        assert "barley" not in text
