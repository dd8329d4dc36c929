"""Encrypted copies: verified without the user's key, opened with it, refused when changed."""

import gzip
import shutil
import subprocess

import pytest

from tests.workers.backup_folder import a_database, ours, rows, run, the_copy
from tests.workers.place_servers import needs_age
from workers.backup import restore, verify
from workers.backup.errors import BackupError
from workers.backup.listing import State
from workers.backup.manifest import read
from workers.backup.places import catalogue, sealing
from workers.backup.places.fetch import AlteredError, check, fetch
from workers.backup.places.open_store import open_store
from workers.backup.places.place import Place
from workers.backup.places.send import send

pytestmark = needs_age


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    room = tmp_path_factory.mktemp("made")
    run(a_database(room / "a.db", rows=300), room / "copies")
    return the_copy(room / "copies")


@pytest.fixture
def key(tmp_path):
    """Write the user's private key as age-keygen does; return its file and the public key."""
    import pyrage

    made = pyrage.x25519.Identity.generate()
    file = tmp_path / "key.txt"
    file.write_text(f"# created: today\n# public key: {made.to_public()}\n{made}\n")
    return file, str(made.to_public())


@pytest.fixture
def place(tmp_path, key):
    (tmp_path / "nas").mkdir()
    return Place(str(tmp_path / "nas"), age=(key[1],))


def no_step(_done):
    pass


def sent(copy, place):
    """Send the copy; return its data's path in the place, and its entry in the list."""
    data = send(copy, read(copy), place, no_step)
    (found,) = catalogue.placed_copies(open_store(place))
    return place.folder / data, found


def test_a_sealed_copy_is_proven_with_a_key_of_the_run_and_opened_with_the_users(
    copy, key, place, tmp_path
):
    data, found = sent(copy, place)
    (tmp_path / "fetched").mkdir()

    back = fetch(
        open_store(place), found, sealing.identities(key[0]), tmp_path / "fetched", no_step
    )
    done = restore.restore(back, tmp_path / "new.db", False)

    assert (found.backup.state, data.name) == (State.VERIFIED, f"{copy.name}.age")
    assert (
        '"read back, decrypted and restored"'
        in (place.folder / f"{data.name}.verified").read_text()
    )
    assert back.read_bytes() == copy.read_bytes()
    assert verify.verify(back)
    assert rows(done.target, "SELECT count(*) FROM moves") == [(300,)]
    assert ours(copy.parent) == sorted(f"{copy.name}{end}" for end in ("", ".json", ".sha256"))


def test_nothing_of_the_content_is_readable_beside_a_sealed_copy(copy, place):
    data, _ = sent(copy, place)

    for file in place.folder.iterdir():
        content = file.read_bytes()
        assert b"moves" not in content, file.name
        assert gzip.compress(b"")[:3] != content[:3]
    assert data.read_bytes().startswith(b"age-encryption.org/v1\n")


@pytest.mark.skipif(shutil.which("age") is None, reason="age is not installed")
def test_the_tools_of_any_machine_restore_it(copy, key, place, tmp_path):
    data, _ = sent(copy, place)

    script = 'age -d -i "$1" "$2" | gunzip > "$3" && cd "$4" && sha256sum -c --quiet *.sha256'
    command = ["sh", "-ec", script, "sh", str(key[0]), str(data), str(tmp_path / "x.db"),
               str(place.folder)]  # fmt: skip
    subprocess.run(command, check=True)

    assert rows(tmp_path / "x.db", "SELECT count(*) FROM moves") == [(300,)]


@pytest.mark.parametrize("place_of", ["header", "middle", "end", "cut", "longer"])
def test_changed_data_is_an_error_and_leaves_nothing(copy, key, place, tmp_path, place_of):
    data, found = sent(copy, place)
    content = bytearray(data.read_bytes())
    at = {"header": 60, "middle": len(content) // 2, "end": len(content) - 1}.get(place_of)
    if at is not None:
        content[at] ^= 1
    changed = content[:-1] if place_of == "cut" else content + b"x" * (place_of == "longer")
    data.write_bytes(changed)
    (tmp_path / "fetched").mkdir()

    with pytest.raises(AlteredError, match="is not what was sent"):
        fetch(open_store(place), found, sealing.identities(key[0]), tmp_path / "fetched", no_step)
    with pytest.raises(AlteredError, match="is not what was sent"):
        check(open_store(place), found, no_step)


def test_another_key_is_an_error_that_says_so(copy, place, tmp_path):
    import pyrage

    _, found = sent(copy, place)
    other = [pyrage.x25519.Identity.generate()]
    (tmp_path / "fetched").mkdir()

    with pytest.raises(sealing.SealError, match=r"cannot be decrypted: .*another key"):
        fetch(open_store(place), found, other, tmp_path / "fetched", no_step)


def test_a_place_that_gives_back_other_bytes_holds_no_sealed_copy(copy, place):
    def spoil(_done):
        for part in place.folder.glob("*.gz.age.part-*"):
            content = part.read_bytes()
            part.write_bytes(bytes([content[0] ^ 1]) + content[1:])

    with pytest.raises(BackupError, match="cannot be decrypted"):
        send(copy, read(copy), place, spoil)

    assert ours(place.folder) == []


def test_keys_that_are_none_are_refused_and_not_shown(tmp_path):
    file = tmp_path / "key.txt"
    file.write_text("AGE-SECRET-KEY-1NOTAKEY\n")

    with pytest.raises(sealing.SealError, match="expected the lines of age-keygen") as failed:
        sealing.identities(file)

    assert "NOTAKEY" not in str(failed.value)
    file.write_text("# nothing\n")
    with pytest.raises(sealing.SealError, match="has no key"):
        sealing.identities(file)
    with pytest.raises(sealing.SealError, match="No such file"):
        sealing.identities(tmp_path / "missing")


def test_a_public_key_with_a_mistake_fails_that_place_only(copy, place):
    wrong = Place(place.to, age=("age1" + "q" * 58,))

    with pytest.raises(BackupError, match=r"age: age1qqqqqqqq\.\.\. is no public key"):
        send(copy, read(copy), wrong, no_step)

    assert ours(place.folder) == []
