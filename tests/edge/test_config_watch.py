"""The watch on jobs.yaml: new content is accepted when two looks a second apart agree."""

import hashlib
import os
import socket

import pytest

from supervisor.config.fingerprint import LARGEST_BYTES, fingerprint
from supervisor.config.watch import SETTLE_S, ConfigWatch


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "jobs.yaml"
    file.write_text("one")
    return file


class PolledWatch:
    """A watch whose looks take no time."""

    def __init__(self, path):
        self.path = path
        self.watch = ConfigWatch(fingerprint(path))

    def look(self, mono):
        """Look at the file, as the loop does once a minute."""
        self.watch.request_look(mono)
        return self.again(mono)

    def again(self, mono):
        """Look again if a look is due; return whether the text is to be read."""
        return self.watch.begin(mono) and self.watch.observe(fingerprint(self.path), mono)


@pytest.fixture
def polled(path):
    return PolledWatch(path)


def test_an_unchanged_file_is_not_looked_at_twice(polled):
    assert polled.look(0.0) is False
    assert polled.watch.look_at is None


def test_a_touched_file_with_the_same_content_is_no_change(polled, path):
    os.utime(path, (1, 1))

    polled.look(0.0)

    assert polled.watch.look_at is None


def test_a_change_that_stands_still_for_a_second_is_taken(polled, path):
    path.write_text("two")

    polled.look(10.0)

    assert polled.again(10.0 + SETTLE_S / 2) is False
    assert polled.again(10.0 + SETTLE_S) is True
    assert polled.watch.look_at is None


def test_a_file_still_being_written_waits_another_second(polled, path):
    path.write_text("tw")
    polled.look(0.0)
    path.write_text("two")

    assert polled.again(1.0) is False
    assert polled.again(2.0) is True


def test_a_change_taken_back_in_time_is_none(polled, path):
    path.write_text("two")
    polled.look(0.0)
    path.write_text("one")

    assert [polled.again(1.0), polled.again(2.0)] == [False, False]


def test_a_replaced_file_is_a_change(polled, path):
    other = path.with_name("other")
    other.write_text("two")
    os.replace(other, path)

    polled.look(0.0)

    assert polled.again(1.0) is True


def test_a_deleted_file_is_a_change_and_its_return_another(polled, path):
    path.unlink()
    polled.look(0.0)
    assert polled.again(1.0) is True

    path.write_text("three")
    polled.look(60.0)

    assert polled.again(61.0) is True


def test_a_request_reads_even_an_unchanged_file(polled):
    polled.watch.force(0.0)

    assert polled.again(0.0) is False
    assert polled.again(1.0) is True


def test_a_request_while_a_look_is_under_way_is_not_lost(polled, path):
    polled.watch.request_look(0.0)
    polled.watch.begin(0.0)
    polled.watch.force(0.1)
    polled.watch.observe(fingerprint(path), 0.2)

    assert polled.again(0.2) is False
    assert polled.again(1.2) is True


def test_what_was_refused_is_not_read_again_until_it_changes(polled, path):
    path.write_text("bad")
    polled.look(0.0)
    polled.again(1.0)

    polled.look(60.0)

    assert polled.watch.look_at is None


def test_a_file_that_does_not_answer_is_news_once_and_so_is_its_return(polled):
    assert polled.watch.give_up("no answer") is True
    assert polled.watch.give_up("no answer") is False

    polled.look(60.0)

    assert polled.again(61.0) is True


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def too_large(path):
    path.touch()
    os.truncate(path, 10 * 1024**3)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "is not a regular file"),
        (os.mkdir, "is a folder, expected a file"),
        (a_socket, "cannot be read: No such device or address"),
        (too_large, "is larger than 16 MiB"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
        (lambda path: path.symlink_to(path.name), "cannot be read: Too many levels of symbolic"),
        (lambda path: None, "no such file"),
    ],
    ids=["fifo", "folder", "socket", "sparse", "zero", "loop", "none"],
)
def test_a_look_at_anything_ends_at_once(tmp_path, monkeypatch, make, said):
    monkeypatch.chdir(tmp_path)  # a socket path may not be long
    path = tmp_path.__class__("odd")
    make(path)

    assert fingerprint(path).startswith(said)


def test_a_file_of_the_largest_size_is_looked_at(path):
    path.write_bytes(b"#" * LARGEST_BYTES)

    assert fingerprint(path) == hashlib.sha256(b"#" * LARGEST_BYTES).hexdigest()


def test_a_folder_that_is_swapped_by_its_link_is_a_change(tmp_path):
    """As kubelet mounts a ConfigMap: jobs.yaml -> ..data/jobs.yaml, ..data -> a new folder."""
    for name, text in (("..1", "one"), ("..2", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "jobs.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "jobs.yaml").symlink_to("..data/jobs.yaml")
    polled = PolledWatch(tmp_path / "jobs.yaml")

    (tmp_path / "..new").symlink_to("..2")
    os.rename(tmp_path / "..new", tmp_path / "..data")
    polled.look(0.0)

    assert polled.again(SETTLE_S) is True
