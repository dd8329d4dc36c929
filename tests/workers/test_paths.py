"""Invalid values where a path is expected."""

from pathlib import Path

import pytest

from workers import params, path_text
from workers.backup.params import Params as Backup
from workers.health.params import Params as Health
from workers.sync.params import Params as Sync


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s3://bucket/x", 'a URL that begins with "s3://"'),
        ("S3://bucket", 'a URL that begins with "S3://"'),
        ("s3:bucket/x", 'a URL that begins with "s3:"'),
        ("rclone:remote/x", "a URL"),
        ("https://user:geheim@host/x", 'a URL that begins with "https://"'),
        ("postgres://user:geheim@host/db", 'a URL that begins with "postgres://"'),
        ("postgresql+psycopg://h/db", "a URL"),
        ("unknown-scheme://x", "a URL"),
        ("file:///srv/x.db", 'write "/srv/x.db"'),
        ("file:/srv/x.db", 'write "/srv/x.db"'),
        ("file://localhost/srv/x.db", 'write "/srv/x.db"'),
        ("sqlite:////srv/x.db", 'write "/srv/x.db"'),
        ("sqlite:///srv/x.db", 'write "/srv/x.db"'),
        (r"C:\data\x.db", "one of Windows"),
        ("d:/data", "one of Windows"),
        (r"\\server\share", "one of Windows"),
        ("backup@nas:/volume1", "another host"),
        ("backup@nas:volume1", "another host"),
        ("nas:/volume1", "another host"),
        ("~/backups", "${HOME}"),
        ("~", "${HOME}"),
        ("~joe/x", "${HOME}"),
        (":memory:", "path of a file"),
    ],
)
def test_what_is_no_path_is_reported(text, said):
    assert said in path_text.mistake(text)
    assert "geheim" not in path_text.mistake(text)


@pytest.mark.parametrize(
    "text",
    [
        "/srv/x",
        "var/x.db",
        "./s3:/x",
        "/srv/a:b",
        "2026-11-30T10:00",
        "x",
        "a~b",
        "/~",
        "über/x y",
        "x@y",
        "c:",
        "1:30",
        "file",
        "s3/x",
    ],
)
def test_a_path_may_be_odd(text):
    assert path_text.mistake(text) == ""


@pytest.mark.parametrize(
    ("kind", "given", "key"),
    [
        (Backup, {"database": "a.db", "directory": "s3://b"}, "directory"),
        (Backup, {"database": "postgres://h/db", "directory": "b"}, "database"),
        (Backup, {"database": "a.db", "directory": "b", "copies": ["c", "ftp://b/c"]}, "copies"),
        (Health, {"database": "a.db", "backups": "sftp://h/b"}, "backups"),
        (Sync, {"catalogue": "s3://b", "database": "a.db"}, "catalogue"),
        (Sync, {"catalogue": "host:/b", "database": "a.db"}, "catalogue"),
        (Sync, {"catalogue": "ftp://u:geheim@h/b", "database": "a.db"}, "catalogue"),
    ],
)
def test_a_parameter_that_is_a_path_takes_no_url(kind, given, key):
    with pytest.raises(params.ParamsError) as raised:
        params.parse(kind, given)

    [problem] = raised.value.problems
    assert problem.key == key
    assert "expected a" in problem.text
    assert "geheim" not in problem.text


def test_a_catalogue_may_be_a_folder_or_an_api():
    for catalogue in ("var/catalogue", "https://api.example/v2"):
        found = params.parse(Sync, {"catalogue": catalogue, "database": "a.db"})

        assert (found.catalogue, found.database) == (catalogue, Path("a.db"))
