"""Texts of other programs may be any bytes; our connections never raise because of them."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.workers.strange_texts import execute_raw, with_latin_names
from workers.sqlite_connection import connect

WORKERS = Path(__file__).parents[2] / "workers"


@pytest.fixture
def connection():
    with closing(connect(":memory:", 0)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("raw", "text"),
    [("ff41", r"\xffA"), ("636166e9", r"caf\xe9"), ("eda080", r"\xed\xa0\x80"), ("00", "\0")],
)
def test_a_text_that_is_not_utf_8_is_escaped(connection, raw, text):
    assert connection.execute(f"SELECT CAST(x'{raw}' AS TEXT)").fetchone() == (text,)


def test_half_a_character_of_utf_16_is_escaped(connection):
    connection.execute("PRAGMA encoding = 'UTF-16le'")
    connection.execute("CREATE TABLE a AS SELECT CAST(x'00d8' AS TEXT) AS b")

    ((text,),) = connection.execute("SELECT b FROM a").fetchall()

    text.encode()


def test_names_that_are_not_utf_8_are_read(tmp_path):
    path = with_latin_names(tmp_path / "a.db")

    with closing(connect(path.as_uri(), 0)) as opened:
        names = opened.execute("SELECT name FROM sqlite_master ORDER BY rowid").fetchall()

    assert names == [(r"caf\xe9",), ("plain",), ("child",)]


def test_an_error_that_is_not_utf_8_is_an_error_of_sqlite(tmp_path):
    path = with_latin_names(tmp_path / "a.db")

    with closing(connect(path.as_uri(), 0)) as opened:
        with pytest.raises(sqlite3.OperationalError, match=r'mismatch - .* "caf\\xe9"'):
            opened.execute("PRAGMA foreign_key_check(child)").fetchall()
        with pytest.raises(sqlite3.OperationalError, match=r"na\\xff .*not UTF-8"):
            opened.execute("SELECT * FROM plain")


def test_damage_that_is_reported_in_latin_1_is_damage(tmp_path):
    path = with_latin_names(tmp_path / "a.db")
    execute_raw(path, "UPDATE sqlite_master SET sql = 'CREATE TABLE a (' WHERE rootpage = 2")

    with (
        closing(connect(path.as_uri(), 0)) as opened,
        pytest.raises(sqlite3.OperationalError) as refused,
    ):
        opened.execute("SELECT * FROM child")

    assert refused.value.sqlite_errorname == "SQLITE_CORRUPT"


def test_all_workers_connect_in_one_place():
    connecting = [
        str(file.relative_to(WORKERS))
        for file in sorted(WORKERS.rglob("*.py"))
        if re.search(r"sqlite3\.connect\(|text_factory = (?!bytes|text_of)", file.read_text())
    ]

    assert connecting == ["sqlite_connection.py"]
