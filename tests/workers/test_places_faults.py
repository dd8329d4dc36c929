"""Dead, silent, full, closed or lying places: named, and no incomplete copy is left."""

import os
import random
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest

from tests.waiting import until
from tests.webhook import Webhook
from tests.workers.backup_folder import (
    a_database,
    a_small_disk,
    ours,
    root_only,
    run,
    the_copy,
)
from tests.workers.place_servers import free_port
from tests.workers.proxy import Proxy, running
from workers import params
from workers.backup import Params, verify
from workers.backup.errors import BackupCancelledError, BackupError
from workers.backup.listing import State
from workers.backup.manifest import read
from workers.backup.places import catalogue
from workers.backup.places.object_store import is_kept, words
from workers.backup.places.open_store import open_store
from workers.backup.places.place import Place
from workers.backup.places.send import send
from workers.params import Duration


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    room = tmp_path_factory.mktemp("made")
    run(a_database(room / "a.db", rows=300), room / "copies")
    return the_copy(room / "copies")


@contextmanager
def silent_server():
    """Yield a port that accepts connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(20)
        yield listening.getsockname()[1]


def no_step(_done):
    pass


def refused(copy, place):
    with pytest.raises(BackupError) as failed:
        send(copy, read(copy), place, no_step)
    return str(failed.value)


def test_places_that_are_dead_fail_by_name_and_the_others_get_their_copy(s3, sftp, tmp_path):
    (tmp_path / "far").mkdir()
    closed = f"http://127.0.0.1:{free_port()}"
    places = (
        s3.place("s3://nowhere/x", endpoint=closed, answer=2.0),
        s3.place("s3://missing-bucket/x"),
        sftp.place(tmp_path / "missing"),
        sftp.place(tmp_path / "far"),
    )

    result = run(a_database(tmp_path / "a.db"), tmp_path / "copies", copies=places)

    assert (result["state"], result["copies"], result["failed_copies"]) == ("verified", 1, 3)
    assert "second copy failed in s3://nowhere/x: list: " in result["problem"]
    assert "s3://missing-bucket/x: list: NoSuchBucket: The specified bucket" in result["problem"]
    assert "/missing: list: stat remote: No such file or directory" in result["problem"]
    assert verify.verify(the_copy(tmp_path / "copies"))
    assert f"{result['file']}.verified" in ours(tmp_path / "far")
    assert "a-secret-key" not in result["problem"]


def test_a_server_that_is_silent_is_given_up(s3, sftp, copy, tmp_path):
    with silent_server() as port:
        place = s3.place("s3://bucket/x", endpoint=f"http://127.0.0.1:{port}", answer=0.5)
        mute = Place(f"sftp://127.0.0.1:{port}/x", ssh_config=sftp.config, answer=1.0)

        assert "s3://bucket/x: list: " in refused(copy, place)
        assert "list: Connection timed out during banner exchange" in refused(copy, mute)


@pytest.mark.long
def test_a_server_that_stops_in_the_middle_is_given_up(sftp, copy, tmp_path):
    (tmp_path / "far").mkdir()
    stopped = []

    def stop(_done):
        # The process of this connection, which sends and receives.
        for child in _below(sftp.process.pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGSTOP)
                stopped.append(child)

    (tmp_path / "big").write_bytes(os.urandom(40_000_000))
    store = open_store(sftp.place(tmp_path / "far", answer=1.0))
    try:
        with pytest.raises(BackupError) as failed:
            store.create("big", tmp_path / "big", "", stop)
    finally:
        for child in stopped:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    assert f"{sftp.port}{tmp_path}/far: write big: " in str(failed.value)
    assert not (tmp_path / "far" / "big").exists()


@pytest.mark.long
def test_a_disk_that_stops_behind_a_server_that_answers_is_given_up(sftp, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "big").write_bytes(os.urandom(40_000_000))
    stopped = []

    def stop(_done):
        # The process that writes the file, and not the one that answers for the connection.
        if not stopped and ours(tmp_path / "far"):
            stopped.append(_below(sftp.process.pid)[-1])
            os.kill(stopped[0], signal.SIGSTOP)

    store = open_store(sftp.place(tmp_path / "far", answer=1.0))
    try:
        with pytest.raises(BackupError, match="write big: no byte was moved for 4 s"):
            store.create("big", tmp_path / "big", "", stop)
        until(lambda: not _using(sftp.config))
    finally:
        for child in stopped:
            os.kill(child, signal.SIGKILL)

    assert not (tmp_path / "far" / "big").exists()


@pytest.mark.long
def test_many_small_files_may_take_their_time_on_a_far_line(sftp, tmp_path):
    (tmp_path / "far").mkdir()
    for number in range(40):
        (tmp_path / "far" / str(number)).write_bytes(b"x")
    config = tmp_path / "config"
    config.write_text(f"HostKeyAlias [127.0.0.1]:{sftp.port}\n{sftp.config.read_text()}")

    with running(Proxy(sftp.port, delay_s=0.01)) as far:
        to = f"sftp://127.0.0.1:{far.port}{tmp_path}/far"
        found = open_store(Place(to, ssh_config=config, answer=Duration(0.5))).read_small(
            [str(number) for number in range(40)]
        )

    assert len(found) == 40


def test_a_host_with_another_key_and_a_user_without_one_are_refused(sftp, copy, tmp_path):
    other, nobody = tmp_path / "other", tmp_path / "nobody"
    known = sftp.config.parent / "user.pub"
    (tmp_path / "known").write_text(f"[127.0.0.1]:{sftp.port} {known.read_text()}")
    text = sftp.config.read_text()
    other.write_text(text.replace(f"{sftp.config.parent}/known", f"{tmp_path}/known"))
    nobody.write_text(text.replace(f"{sftp.config.parent}/user", f"{tmp_path}/none"))

    assert "Host key verification failed" in refused(copy, sftp.place(tmp_path, ssh_config=other))
    assert "Permission denied (publickey)" in refused(
        copy, sftp.place(tmp_path, ssh_config=nobody)
    )
    assert ours(tmp_path) == ["known", "nobody", "other"]


@root_only
def test_a_full_disk_behind_sftp_is_an_error_and_holds_nothing(sftp, copy, tmp_path):
    with a_small_disk(tmp_path / "far", "60k") as far:
        said = refused(copy, sftp.place(far))

        assert "write " in said
        assert ours(far) == []


@pytest.mark.parametrize("answer", ["flipped", "cut"])
def test_a_store_that_gives_back_other_bytes_holds_no_copy(s3, copy, answer):
    bucket = s3.bucket(f"liar-{answer}")
    content = copy.read_bytes()
    other = content[:-1] if answer == "cut" else bytes([content[0] ^ 1]) + content[1:]

    def spoil(done):
        if done == len(content):
            s3.put(f"liar-{answer}", copy.name, other)

    with pytest.raises(BackupError, match=r"gave back other bytes|read .*: "):
        send(copy, read(copy), s3.place(bucket), spoil)

    assert open_store(s3.place(bucket)).entries() == []


def test_a_request_to_end_leaves_nothing(s3, sftp, copy, tmp_path):
    def end(_done):
        raise BackupCancelledError

    for place in (s3.place(s3.bucket("cancelled")), sftp.place(tmp_path)):
        with pytest.raises(BackupCancelledError):
            send(copy, read(copy), place, end)
        assert open_store(place).entries() == []


def test_a_name_that_another_program_has_taken_is_left_as_it_is(s3, copy):
    bucket = s3.bucket("taken")
    s3.put("taken", f"{copy.name}.json", b"theirs")

    said = refused(copy, s3.place(bucket))

    assert "the name is taken; it is left" in said
    assert s3.get("taken", f"{copy.name}.json")["Body"].read() == b"theirs"
    assert [one.name for one in open_store(s3.place(bucket)).entries()] == [f"{copy.name}.json"]


@pytest.mark.long
def test_a_run_killed_at_any_moment_leaves_nothing_false(s3, copy):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice, place = random.Random(seed), s3.place(s3.bucket("killed"))
    code = (
        "import sys; from pathlib import Path; from workers.backup.manifest import read;"
        "from tests.workers.s3_server import S3Server;"
        "from workers.backup.places.send import send;"
        "import obstore, obstore.store; place = S3Server(sys.argv[1]).place(sys.argv[2]);"
        "copy = Path(sys.argv[3]); print('up', flush=True);"
        "send(copy, read(copy), place, lambda done: None)"
    )
    command = [sys.executable, "-c", code, s3.endpoint, place.to, str(copy)]
    for _ in range(4):
        ends = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **ends) as sender:
            sender.stdout.readline()
            try:
                sender.wait(dice.uniform(0, 0.15))
            except subprocess.TimeoutExpired:
                sender.kill()
            ended = sender.wait(20)
            # A request of a killed run may arrive after the next run has checked.
            was_late = "the name is taken; it is left" in sender.stderr.read()
            assert ended in (0, -signal.SIGKILL) or was_late

    content, store = copy.read_bytes(), open_store(place)
    for found in catalogue.placed_copies(store):
        assert found.backup.state in (State.VERIFIED, State.UNVERIFIED)
        assert b"".join(store.read(found.data, found.backup.size_bytes)) == content


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("ftp://x/y", "to: expected a folder, s3://bucket/path"),
        ("s3://bucket?x=y", "to: expected s3://name/path"),
        ("sftp://me:secret@host/x", "to: expected no password"),
        ("s3://bucket:99999999/x", "to: "),
        ({"to": "s3://b/x", "age": ["AGE-SECRET-KEY-1ABC"]}, 'public keys such as age1'),
        ({"to": "/x", "verify": "parts"}, "verify: parts needs an s3:// place"),
        ({"to": "/x", "verify": "never"}, 'expected all or parts, got "never"'),
        ({"to": "sftp://h/x", "endpoint": "http://x"}, "endpoint: expected only"),
        ({"to": "s3://b/x", "answer": "1h"}, "answer: expected up to 10m"),
        ("s3://bucket/a/../b", 'a path without "//"'),
        ("s3://bucket/a//b", 'a path without "//"'),
        ("s3://bucket/a%0Ab", "without control characters"),
        ("sftp://host/a%0A!rm%20b", "without control characters"),
        ({"endpoint": "x"}, "is required"),
        ({"to": "~/x"}, "to: "),
        ({"to": ""}, "to: is empty"),
    ],
)  # fmt: skip
def test_mistakes_in_a_place_name_their_key(given, said):
    with pytest.raises(params.ParamsError) as bad:
        params.parse(Params, {"database": "/x/y.db", "directory": "/a", "copies": [given]})

    assert "copies" in str(bad.value)
    assert said in str(bad.value)
    assert "SECRET-KEY-1ABC" not in str(bad.value)


def test_no_key_is_shown():
    place = Place("s3://b/x", access_key_id="an-id", secret_access_key="a-secret")

    assert "an-id" not in repr(place)
    assert "a-secret" not in repr(place)


def test_refusals_of_a_lock_are_known_from_others():
    assert is_kept("409: BlobImmutableDueToPolicy")
    assert is_kept("AccessDenied because object protected by object lock.")
    assert is_kept("Object is subject to bucket's retention policy and cannot be deleted until")
    assert not is_kept("403 Forbidden: AccessDenied")
    assert words(ValueError("Generic S3 error: x - Server returned y: <Code>A</Code>")) == "A"


SKEWED = """<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the
server's time is too large.</Message><RequestTime>20260209T010203Z</RequestTime>{}</Error>"""


@pytest.mark.parametrize(
    ("server_time", "expected"),
    [
        ("<ServerTime>2001-02-03T04:05:06Z</ServerTime>", "there 2001-02-03 04:05 UTC"),
        ("<ServerTime>soon</ServerTime>", "set it (timedatectl)"),
        ("<ServerTime>0001-01-01T00:00:00+14:00</ServerTime>", "set it (timedatectl)"),
        ("", "set it (timedatectl)"),
    ],
)
def test_a_clock_that_the_store_refuses_is_named(copy, server_time, expected):
    with Webhook() as store:
        store.answers(403, body=SKEWED.format(server_time).encode())
        endpoint = store.url.partition("/services")[0]
        place = Place("s3://b/x", endpoint=endpoint, region="r", answer=params.Duration(5.0),
                      access_key_id="an-id", secret_access_key="a-secret-key")  # fmt: skip

        with pytest.raises(BackupError) as refused:
            send(copy, read(copy), place, lambda _: None)

    assert str(refused.value).startswith("s3://b/x: list: the clock of this machine is wrong")
    assert expected in str(refused.value)
    assert not refused.value.permanent


def test_azures_words_for_a_wrong_clock_are_known():
    text = "<Code>AuthenticationFailed</Code> Request date header too old: 'Mon, 09 Feb 2026'"

    assert words(ValueError(text)).startswith("the clock of this machine is wrong")


def _using(config):
    """Return the processes that were given this configuration of ssh."""
    found = subprocess.run(["pgrep", "--full", str(config)], capture_output=True, text=True)
    return found.stdout.split()


def _below(pid):
    """Return the processes below one."""
    found, asked = [], [pid]
    while asked:
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(asked.pop())], capture_output=True, text=True
        )
        children = [int(word) for word in listed.stdout.split()]
        found += children
        asked += children
    return found


@pytest.mark.parametrize(
    ("library", "place"),
    [("obstore", "Place('s3://b/x')"), ("pyrage", "Place('/tmp', age=('age1' + 'q' * 58,))")],
)
def test_a_library_that_is_missing_is_named_with_its_extra(copy, library, place):
    code = (
        f"import sys; sys.modules['{library}'] = None; from pathlib import Path;"
        "from workers.backup.manifest import read; from workers.backup.places.send import send;"
        "from workers.backup.places.place import Place; from workers.backup.errors import *;"
        "copy = Path(sys.argv[1])\n"
        f"try: send(copy, read(copy), {place}, lambda done: None)\n"
        "except BackupError as error: print(error.permanent, error)"
    )
    done = subprocess.run([sys.executable, "-c", code, copy], capture_output=True, text=True)

    assert done.stdout.startswith("True "), done.stderr
    assert f"{library} is missing" in done.stdout
    assert "pip install 'nightshift-cron[offsite]'" in done.stdout
