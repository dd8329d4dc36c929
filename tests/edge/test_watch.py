"""jobs.yaml is taken up by content, when two looks a second apart agree."""

import os

import pytest

from supervisor.watch import SETTLE_S, Watch, fingerprint


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "jobs.yaml"
    file.write_text("one")
    return file


def watch(path):
    return Watch(path, fingerprint(path))


def test_an_unchanged_file_is_not_looked_at_twice(path):
    watching = watch(path)

    watching.look(0.0)

    assert watching.look_again_at is None


def test_a_touched_file_with_the_same_content_is_no_change(path):
    watching = watch(path)
    os.utime(path, (1, 1))

    watching.look(0.0)

    assert watching.look_again_at is None


def test_a_change_that_stands_still_for_a_second_is_taken(path):
    watching = watch(path)
    path.write_text("two")

    watching.look(10.0)

    assert watching.look_again(10.0 + SETTLE_S / 2) is False
    assert watching.look_again(10.0 + SETTLE_S) is True
    assert watching.look_again_at is None


def test_a_file_still_being_written_waits_another_second(path):
    watching = watch(path)
    path.write_text("tw")
    watching.look(0.0)
    path.write_text("two")

    assert watching.look_again(1.0) is False
    assert watching.look_again(2.0) is True


def test_a_change_taken_back_in_time_is_none(path):
    watching = watch(path)
    path.write_text("two")
    watching.look(0.0)
    path.write_text("one")

    assert [watching.look_again(1.0), watching.look_again(2.0)] == [False, False]


def test_a_replaced_file_is_a_change(path):
    watching = watch(path)
    other = path.with_name("other")
    other.write_text("two")
    os.replace(other, path)

    watching.look(0.0)

    assert watching.look_again(1.0) is True


def test_a_deleted_file_is_a_change_and_its_return_another(path):
    watching = watch(path)
    path.unlink()
    watching.look(0.0)
    assert watching.look_again(1.0) is True

    path.write_text("one")
    watching.look(60.0)

    assert watching.look_again(61.0) is True


def test_a_request_reads_even_an_unchanged_file(path):
    watching = watch(path)

    watching.insist(0.0)

    assert watching.look_again(1.0) is True


def test_what_was_refused_is_not_read_again_until_it_changes(path):
    watching = watch(path)
    path.write_text("bad")
    watching.look(0.0)
    watching.look_again(1.0)

    watching.look(60.0)

    assert watching.look_again_at is None
