"""The password file: valid content, and a comparison that shows no password."""

import os

import pytest

from supervisor.web import passwords
from supervisor.web.sessions import IDLE_S, MOST, Sessions


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "people"
    file.write_text("# the office\nanna:s3cret: with colon\njörg:pass\n\n")
    file.chmod(0o600)
    return file


def test_a_person_is_let_in_by_the_whole_password(path):
    access = passwords.read(path)

    assert passwords.is_right(access, "anna", "s3cret: with colon")
    assert passwords.is_right(access, "jörg", "pass")
    assert not passwords.is_right(access, "anna", "s3cret")
    assert not passwords.is_right(access, "nobody", "")
    assert "s3cret" not in repr(access)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o650, 0o604])
def test_a_file_that_others_may_read_is_refused(path, mode):
    path.chmod(mode)

    with pytest.raises(passwords.PasswordFileError, match="chmod 0600"):
        passwords.read(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to own files of two users")
def test_only_a_file_of_root_may_be_readable_for_its_group(path):
    path.chmod(0o640)
    assert passwords.read(path).hashes.keys() == {"anna", "jörg"}

    os.chown(path, 12345, 12345)

    with pytest.raises(passwords.PasswordFileError, match="chmod 0600"):
        passwords.read(path)


@pytest.mark.parametrize("mode", [0o644, 0o444, 0o440])
def test_a_secret_that_a_container_engine_mounted_may_be_readable(path, mode):
    path.chmod(mode)

    assert passwords.read(path, mounted=path.parent).hashes.keys() == {"anna", "jörg"}


def test_a_mounted_secret_that_others_may_write_is_refused(path):
    path.chmod(0o666)

    with pytest.raises(passwords.PasswordFileError, match="mode 0666"):
        passwords.read(path, mounted=path.parent)


@pytest.mark.parametrize(
    "text", ["", "anna", ":x", "anna:", "a:b\na:c", "a\tb:c", "x" * 65 + ":y"]
)
def test_an_invalid_line_is_named(path, text):
    path.write_text(text)

    with pytest.raises(passwords.PasswordFileError, match="people"):
        passwords.read(path)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(passwords.PasswordFileError):
        passwords.read(tmp_path / "missing")
    with pytest.raises(passwords.PasswordFileError):
        passwords.read(tmp_path)


def test_a_session_ends_when_it_was_idle_and_when_there_are_too_many():
    sessions = Sessions()
    first = sessions.begin("anna", 0.0)

    assert sessions.find(first, IDLE_S - 1) is not None
    assert sessions.find(first, 3 * IDLE_S) is None
    oldest = sessions.begin("", 0.0)
    others = [sessions.begin("", 0.0) for _ in range(MOST)]
    assert sessions.find(oldest, 1.0) is None
    assert sessions.find(others[-1], 1.0) is not None


def test_a_token_is_valid_in_one_session_only():
    sessions = Sessions()
    one, other = (sessions.find(sessions.begin("", 0.0), 0.0) for _ in range(2))
    assert one is not None
    assert other is not None

    assert one.is_csrf_token(one.csrf_token())
    assert one.csrf_token() != one.csrf_token()
    assert not other.is_csrf_token(one.csrf_token())
    assert not one.is_csrf_token("")
