"""Copies in places outside the machine: sent, read back, listed; folder, S3 and SFTP alike."""

import base64
import gzip
import hashlib
import os
import re
import subprocess
import sys
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar

import pytest

from tests.waiting import until
from tests.workers.backup_folder import a_database, ours, run, the_copy
from tests.workers.place_servers import AZURE_ACCOUNT, azure_server
from workers.backup import listing, verify
from workers.backup.listing import State
from workers.backup.manifest import read
from workers.backup.places import catalogue
from workers.backup.places.open_store import open_store
from workers.backup.places.place import Place
from workers.backup.places.send import send
from workers.backup.places.store import NO_PROTECTION, PlaceError, TakenError
from workers.backup.secondary_copy import carry
from workers.params import Duration


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    room = tmp_path_factory.mktemp("made")
    run(a_database(room / "a [b]*'.db", rows=200), room / "copies")
    return the_copy(room / "copies")


@pytest.fixture(scope="module")
def azure(tmp_path_factory):
    with (
        azure_server(tmp_path_factory.mktemp("azure")) as server,
        pytest.MonkeyPatch.context() as at,
    ):
        for name, text in server.environ.items():
            at.setenv(name, text)
        yield server


@pytest.fixture(params=["folder", "s3", "azure", "sftp"])
def place(request, tmp_path):
    """Yield an empty place of each kind; for Google's there is no local server."""
    if request.param == "azure":
        name = "b" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]
        return Place(request.getfixturevalue("azure").container(name), answer=Duration(20.0))
    if request.param == "s3":
        server = request.getfixturevalue("s3")
        name = "b" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]
        return server.place(server.bucket(name))
    folder = tmp_path / "the place [x]"
    folder.mkdir()
    if request.param == "sftp":
        return request.getfixturevalue("sftp").place(folder)
    return Place(str(folder))


def no_step(_done):
    pass


def test_what_is_created_is_read_back_listed_and_deleted(place, tmp_path):
    store, content, file = open_store(place), os.urandom(9_000_000), tmp_path / "file"
    file.write_bytes(content)

    store.create("big [1]*.x", file, hashlib.sha256(content).hexdigest(), no_step)
    store.create_small("-small", b"one")

    assert {one.name: one.size_bytes for one in store.entries()} == {
        "big [1]*.x": 9_000_000,
        "-small": 3,
    }
    assert b"".join(store.read("big [1]*.x", 9_000_000)) == content
    assert store.read_small(["-small", "missing"]) == {"-small": b"one"}
    store.delete("big [1]*.x")
    store.delete("missing")
    assert [one.name for one in store.entries()] == ["-small"]


def test_azure_answers_how_it_keeps_an_object(azure):
    store = open_store(Place(azure.container("kept"), answer=Duration(20.0)))
    store.create_small("one", b"1")

    assert store.protection("one") == NO_PROTECTION

    asked = re.compile(rf'"HEAD /{AZURE_ACCOUNT}/kept/night/copies/one\?\S+ HTTP/1.1" (\d+)')
    until(lambda: asked.findall(azure.log.read_text()) == ["200"])


def test_nothing_is_overwritten(place, tmp_path):
    store, file = open_store(place), tmp_path / "file"
    file.write_bytes(bytes(9_000_000))
    store.create_small("one", b"theirs")

    with pytest.raises(TakenError, match="it is left"):
        store.create_small("one", b"ours")
    with pytest.raises(TakenError, match="it is left"):
        store.create("one", file, "", no_step)

    assert store.read_small(["one"]) == {"one": b"theirs"}
    assert [one.name for one in store.entries()] == ["one"]


def test_a_copy_is_verified_once_it_was_read_back(place, copy):
    if place.is_plain_folder:
        pytest.skip("secondary_copy covers plain folders")

    data = send(copy, read(copy), place, no_step)

    (found,) = catalogue.placed_copies(open_store(place))
    assert (found.backup.state, found.backup.why, found.data) == (State.VERIFIED, "", data)
    assert found.backup.shown == f"{place.to}/{copy.name}"
    names = {one.name for one in open_store(place).entries()}
    assert names == {f"{data}{end}" for end in ("", ".json", ".sha256", ".verified")}


def test_a_second_copy_of_the_same_second_gets_a_later_name(s3, copy):
    place = s3.place(s3.bucket("twice"))

    first, second = (send(copy, read(copy), place, no_step) for _ in range(2))

    assert first < second
    copies = catalogue.placed_copies(open_store(place))
    assert [one.backup.state for one in copies] == [State.VERIFIED] * 2


def test_a_backup_job_carries_its_copy_to_all_its_places(s3, sftp, tmp_path):
    (tmp_path / "nas").mkdir()
    (tmp_path / "far").mkdir()
    bucket = s3.bucket("everywhere")
    places = (Place(str(tmp_path / "nas")), s3.place(bucket), sftp.place(tmp_path / "far"))

    result = run(a_database(tmp_path / "a.db"), tmp_path / "copies", copies=places)

    assert (result["copies"], result["failed_copies"], result["problem"]) == (3, 0, "")
    name = result["file"]
    assert name in ours(tmp_path / "nas")
    assert f"{name}.verified" in ours(tmp_path / "far")
    downloaded = s3.get("everywhere", name)["Body"].read()
    assert hashlib.sha256(downloaded).hexdigest() == result["sha256"]
    assert gzip.decompress(downloaded)[:15] == b"SQLite format 3"


def test_a_folder_fetched_whole_from_a_place_is_a_backup_folder(s3, copy, tmp_path):
    place = s3.place(s3.bucket("whole"))
    send(copy, read(copy), place, no_step)

    store = open_store(place)
    for one in store.entries():
        (tmp_path / one.name).write_bytes(b"".join(store.read(one.name, one.size_bytes)))

    (found,) = listing.list_backups(tmp_path)
    assert found.state is State.VERIFIED
    assert verify.verify(found.path)


@pytest.mark.long
def test_large_copies_are_sent_with_a_sum_for_each_part_and_in_little_memory(s3, tmp_path):
    place, file = s3.place(s3.bucket("large")), tmp_path / "file"
    with open(file, "wb") as written:
        for _ in range(9):
            written.write(os.urandom(8 << 20))
    code = (
        "import resource, sys; from pathlib import Path;"
        "from tests.workers.s3_server import S3Server;"
        "from workers.backup.places.open_store import open_store; server = S3Server(sys.argv[1]);"
        "store = open_store(server.place(sys.argv[2])); store.create_small('one', b'1');"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "before = peak(); store.create('big', Path(sys.argv[3]), 'the-sum', lambda done: None);"
        "sum(len(block) for block in store.read('big', 9 << 23)); print(peak() - before)"
    )
    command = [sys.executable, "-c", code, s3.endpoint, place.to, str(file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    grown_kb = int(done.stdout)

    assert grown_kb < 64 * 1024
    stored = s3.get("large", "big")
    assert stored["Metadata"] == {"sha256": "the-sum"}
    assert stored["ETag"].endswith('-9"')


def test_sums_of_parts_can_be_the_proof_without_reading_back(s3, copy):
    place = s3.place(s3.bucket("by-parts"), verify="parts")

    data = send(copy, read(copy), place, no_step)

    (found,) = catalogue.placed_copies(open_store(place))
    assert found.backup.state is State.VERIFIED
    assert b"sums of its parts" in s3.get("by-parts", f"{data}.verified")["Body"].read()
    assert s3.get("by-parts", data)["Metadata"] == {"sha256": read(copy).sha256}


class Recorder(BaseHTTPRequestHandler):
    """Answer an upload like S3, and record what came with each request."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, bytes, Message]]] = []

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, body, self.headers))
        self._answer(200)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = b"Initiate" if "uploads" in self.path else b"Complete"
        end = kind + b"MultipartUploadResult>"
        self._answer(200, b"<" + end + b'<UploadId>u</UploadId><ETag>"x"</ETag></' + end)

    def do_HEAD(self):
        self._answer(404)

    def _answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("ETag", '"x"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words):
        pass


def test_each_part_is_sent_with_its_sha_256_and_small_objects_only_if_the_name_is_free(tmp_path):
    pytest.importorskip("obstore", reason="obstore is not installed")
    (tmp_path / "file").write_bytes(os.urandom(17 << 20))
    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            endpoint = f"http://127.0.0.1:{server.server_port}"
            place = Place("s3://b/x", endpoint, "r", access_key_id="i", secret_access_key="k")
            store = open_store(place)
            store.create_small("small", b"one")
            store.create("big", tmp_path / "file", "the-sum", no_step)
        finally:
            server.shutdown()
            thread.join()

    small, *parts = Recorder.seen
    assert small[2]["If-None-Match"] == "*"
    assert len(parts) == 3
    for _, body, headers in (small, *parts):
        sent = base64.b64decode(headers["x-amz-checksum-sha256"])
        assert sent == hashlib.sha256(body).digest()


@pytest.mark.parametrize("stem", ["bücher", "日本", "e\u0301", "a\u2028b", "a\x7fb", "\udcff"])
def test_copies_of_any_name_are_listed_by_sftp(sftp, tmp_path, stem):
    (tmp_path / "there").mkdir()
    place = sftp.place(tmp_path / "there")
    run(a_database(tmp_path / f"{stem}.db", rows=20), tmp_path / "copies")
    copy = the_copy(tmp_path / "copies")

    sent = [send(copy, read(copy), place, no_step) for _ in range(2)]

    found = catalogue.placed_copies(open_store(place))
    assert [(one.data, one.backup.state) for one in reversed(found)] == [
        (data, State.VERIFIED) for data in sent
    ]


@pytest.mark.parametrize("stem", ["\udcff", "a\x7fb"])
def test_a_name_that_no_object_can_have_is_an_error_of_that_place_alone(s3, tmp_path, stem):
    place = s3.place(s3.bucket(f"odd{len(stem)}"))
    run(a_database(tmp_path / f"{stem}.db", rows=20), tmp_path / "copies")
    copy = the_copy(tmp_path / "copies")

    with pytest.raises(PlaceError, match="write "):
        send(copy, read(copy), place, no_step)


def test_a_local_path_with_a_line_end_is_no_command_of_sftp(sftp, tmp_path):
    there, here = tmp_path / "there", tmp_path / f"x\n!touch {tmp_path}/made\n"
    for folder in (there, here):
        folder.mkdir(parents=True)
    run(a_database(tmp_path / "shop.db", rows=20), here)
    copy = the_copy(here)

    with pytest.raises(PlaceError, match="a path has a line end"):
        send(copy, read(copy), sftp.place(there), no_step)

    assert not (tmp_path / "made").exists()


def test_a_plain_copy_in_a_folder_needs_no_receipt_and_an_encrypted_one_does(copy, tmp_path):
    place = Place(str(tmp_path))
    carry(copy, read(copy), tmp_path, no_step)
    (tmp_path / f"{copy.name}.age").write_bytes(b"sealed")

    found = {one.data: one.backup.state for one in catalogue.placed_copies(open_store(place))}

    assert found == {copy.name: State.VERIFIED, f"{copy.name}.age": State.UNVERIFIED}
