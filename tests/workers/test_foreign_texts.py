"""Foreign text in databases, paths, catalogues and errors: no template, format, markup or SQL."""

import ast
import errno
import os
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.workers.catalogue_folder import Catalogue, a_card, a_report, a_set
from tests.workers.fixtures_health import GENEROUS
from tests.workers.fixtures_replication import unequal
from workers import backup, cleanup, health, integrity, params, replication, rotation, sync
from workers.backup import restore
from workers.backup.errors import from_os_error
from workers.protocol import Log, Metric, Progress
from workers.report import WorkerError

ROOT = Path(__file__).parents[2]
SECRET = "sesame-in-the-environment"
TEXTS = {
    "brace": "}",
    "place": "{0}",
    "attribute": "{folder.exists.__globals__[os].environ[NS_SECRET]}",
    "percent": "%s %n %(x)s %",
    "rich": "[red]x[/red]",
    "rich end": "[/]",
    "sql": "'; DROP TABLE t; --",
    "quote": 'a"b',
    "html": "<script>alert(1)</script>",
    "slack": "<!channel> *b* `c` & _d_",
    "backticks": "`id` $(id) ${NS_SECRET}",
    "line": "a\nb\r\x1b[31mc",
    "parameter": ":null ?1 @x $x",
}


# One for each kind of interpretation; the others are left to longer runs.
SAMPLE = {"attribute", "percent", "rich", "sql", "line"}


@pytest.fixture(
    params=[
        pytest.param(text, id=name, marks=[] if name in SAMPLE else pytest.mark.long)
        for name, text in TEXTS.items()
    ]
)
def text(request, monkeypatch):
    monkeypatch.setenv("NS_SECRET", SECRET)
    return request.param


@pytest.fixture
def folder(tmp_path, text):
    """Create a folder named after the text, as far as a file name allows."""
    made = tmp_path / text.replace("/", "|").replace("\n", " ")
    made.mkdir()
    return made


@pytest.fixture
def path(folder, text):
    """Create a database with the text in its name, tables, columns, values and keys."""
    name = text.replace("/", "|").replace("\n", " ").replace("\r", " ").replace("\x1b", " ")
    path = folder / f"{name}.db"
    table, column = quoted(f"t {text}"), quoted(f"c {text}")
    with closing(sqlite3.connect(path)) as made:
        made.execute(f"CREATE TABLE {table} ({column} TEXT PRIMARY KEY, v TEXT, w REAL)")
        made.execute(f"CREATE TABLE u (id INTEGER PRIMARY KEY, {column} REFERENCES {table})")
        made.execute(f"CREATE INDEX {quoted(f'i {text}')} ON u ({column})")
        made.execute(f"INSERT INTO {table} VALUES (?, ?, 1.5)", (text, text))
        made.execute("INSERT INTO u VALUES (1, ?)", (text,))
        made.commit()
    return path


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def shown(text):
    """Return the text as integrity writes it: on one line."""
    return text if text.isprintable() else ascii(text)[1:-1]


def said(received, result=None):
    """Return everything that a worker reported, as one text."""
    texts = [getattr(one, "text", getattr(one, "name", "")) for one in received]
    assert all(isinstance(one, Log | Metric | Progress) for one in received)
    return "\n".join([*texts, str(result or "")])


def done(run, given, dry_run=False):
    """Return the report and result of a run that must succeed without leaking the secret."""
    received = []
    result = run(given, a_report(received, dry_run))
    whole = said(received, result)
    assert SECRET not in whole
    return whole


def failed(run, given):
    """Return the cause of a run that must fail without leaking the secret."""
    with pytest.raises(WorkerError) as failure:
        run(given, a_report())
    assert SECRET not in failure.value.error
    return failure.value.error


def test_a_backup_is_made_kept_and_rotated_whatever_it_is_called(path, folder):
    done(backup.run, backup.Params(path, folder / "copies"), dry_run=True)
    done(backup.run, backup.Params(path, folder / "copies"))
    rotate = params.parse(rotation.Params, {"directory": str(folder / "copies"), "keep_last": "1"})
    done(rotation.run, rotate, dry_run=True)

    assert path.name.partition(".")[0] in done(rotation.run, rotate)


def test_a_copy_is_restored_to_any_path_and_into_what_lives_there(path, folder, text):
    done(backup.run, backup.Params(path, folder / "copies"))
    target = str(folder / f"back {path.name}")
    given = {"directory": str(folder / "copies"), "target": target}

    done(restore.run, params.parse(restore.Params, given))
    failed(restore.run, params.parse(restore.Params, given))
    done(restore.run, params.parse(restore.Params, {**given, "force": "true"}))

    with closing(sqlite3.connect(target)) as restored:
        rows = restored.execute(f"SELECT * FROM {quoted(f't {text}')}").fetchall()
    assert rows == [(text, text, 1.5)]


def test_health_names_what_it_measured(path, folder):
    done(backup.run, backup.Params(path, folder / "copies"))
    given = {"database": str(path), "backups": str(folder / "copies"), "limits": GENEROUS}

    assert str(path) in done(health.run, params.parse(health.Params, given))


def test_health_tells_an_error_as_it_is(path, folder, text):
    given = {"database": f"{path}.none", "backups": str(folder / "none"), "limits": GENEROUS}

    error = failed(health.run, params.parse(health.Params, given))

    assert f"database {path}.none does not exist" in error


def test_integrity_names_what_it_found(path, text):
    done(integrity.run, integrity.Params(path), dry_run=True)
    done(integrity.run, integrity.Params(path))
    with closing(sqlite3.connect(path)) as changed:
        changed.execute(f"DELETE FROM {quoted(f't {text}')}")
        changed.commit()

    error = failed(integrity.run, integrity.Params(path))

    assert f"u rowid 1 without its t {shown(text)}" in error


def test_integrity_tells_an_error_of_sqlite_as_it_is(path, text):
    with closing(sqlite3.connect(path)) as changed:
        changed.execute(f"CREATE TABLE x (a REFERENCES {quoted(f't {text}')} (v))")
        changed.commit()

    error = failed(integrity.run, integrity.Params(path))

    # SQLite quotes the name itself.
    assert f'foreign key mismatch - "x" referencing {quoted(f"t {shown(text)}")}' in error


def test_cleanup_says_what_it_leaves_out(path, text):
    with closing(sqlite3.connect(path)) as changed:
        changed.execute("CREATE TABLE pad AS SELECT zeroblob(1000000) AS a")
        changed.execute("DROP TABLE pad")
        changed.commit()

    done(cleanup.run, cleanup.Params(path), dry_run=True)

    assert f"(t {text})" in done(cleanup.run, cleanup.Params(path))
    done(cleanup.run, cleanup.Params(path, vacuum_rowids=True))


def test_replication_copies_and_names_everything(path, postgres, text):
    schema = f"s {text}"
    given = replication.Params(path, postgres, schema=schema, capture="triggers")
    done(replication.run, given, dry_run=True)
    done(replication.run, given)
    with closing(sqlite3.connect(path)) as changed:
        changed.execute("INSERT INTO u VALUES (2, ?)", (text,))
        changed.commit()
    done(replication.run, given)
    done(replication.run, replication.Params(path, postgres, schema=schema, verify_only=True))

    assert unequal(path, postgres, schema) == {}


def test_replication_names_what_does_not_fit(path, postgres, text):
    with closing(sqlite3.connect(path)) as changed:
        table = quoted(f"t {text}")
        changed.execute(f"INSERT INTO {table} VALUES ('other', 'other', 2.5)")
        changed.execute(f"UPDATE {table} SET w = ? WHERE w = 1.5", (text,))
        changed.commit()

    error = failed(replication.run, replication.Params(path, postgres))

    assert f"table t {text}" in error
    assert "column w is text" in error


def test_sync_takes_every_text_of_a_catalogue(folder, text):
    one = a_set("one", name=text, series=text, legalities={text: text})
    cards = [a_card("one", text, name=text, rules=[text])]
    given = sync.Params(str(Catalogue(folder, [one], {"one": cards}).root), folder / "a.db")
    done(sync.missing_sets, given)
    done(sync.missing_cards, given)
    Catalogue(folder, [one], {"one": []})

    assert "1 card is gone from the catalogue: one-" in done(sync.missing_cards, given)


def test_sync_tells_a_mistake_as_it_is(folder, text):
    wrong = [a_card("one", "1", hp=text, **{text: text}), a_card("one", text, name=7)]
    given = sync.Params(str(Catalogue(folder, [a_set("one")], {"one": wrong}).root), folder / "d")
    done(sync.missing_sets, given)

    assert "one: entry 1 (one-1): hp: expected 1 to 18 digits" in failed(sync.missing_cards, given)


def test_what_a_trigger_says_is_reported_as_it_is(folder, text):
    path = folder / "a.db"
    given = sync.Params(str(Catalogue(folder, [a_set("one")], {"one": []}).root), path)
    done(sync.missing_sets, given)
    with closing(sqlite3.connect(path)) as changed:
        message = text.replace("'", "''")
        changed.execute(
            "CREATE TRIGGER no BEFORE UPDATE ON pokemon_card_sets"
            f" BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
        changed.commit()
    Catalogue(folder, [a_set("one", name="other")], {"one": []})

    assert text in failed(sync.missing_sets, given)


def test_a_command_to_type_is_one_for_the_shell(folder):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    advice = str(from_os_error("write it", folder, full)).partition("with: ")[2]

    assert shlex.split(advice)[-2:] == ["--directory", str(folder)]


# Templates that are constants of the same file, but not recognisable as such.
CONSTANTS = {
    "what",  # backup/sqlite_checks.py: a row of _PLURALS
    "form",  # config/cron_hints.py and systemd/timer.py: a row of a table
    "condition",  # integrity/card_checks.py: a column's name, which is ours
    "statement",  # replication/watermark.py: two constants in a loop
    "command",  # notifications/alert_text.py: the command to run next
    "_TITLES.get(alert.kind, '{job} failed')",
    "_OPENINGS[found.trigger]",
}


@pytest.mark.parametrize("package", ["workers", "supervisor"])
def test_a_template_is_a_constant(package):
    found = set()
    sources = (file.read_text() for file in (ROOT / package).rglob("*.py"))
    for source in sources:
        for node in ast.walk(ast.parse(source)) if ".format" in source else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                template = node.func.value
                if node.func.attr in ("format", "format_map") and not is_constant(template):
                    found.add(ast.unparse(template))

    assert found - CONSTANTS == set()


def is_constant(node):
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "Markup":
        return all(isinstance(argument, ast.Constant) for argument in node.args)
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id.isupper())
