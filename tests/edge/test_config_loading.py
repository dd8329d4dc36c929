"""Loading jobs.yaml: reading the file, the cache, and the outcome of a child process."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor import config

GOOD = "jobs: {a: {command: [echo, hello], cron: '0 2 * * *'}}\n"


@pytest.fixture
def yaml(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.yaml"
    path.write_text(GOOD)
    return path


def said(path: Path) -> str:
    loaded = config.load(path, {})
    assert loaded.config is None
    assert len(loaded.problems) == 1
    return config.format_problem(loaded.problems[0], path.name)


def test_a_good_file_is_loaded_with_its_text_and_digest(yaml: Path) -> None:
    yaml.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())

    loaded = config.load(yaml, {})

    assert loaded.config is not None
    assert loaded.config.jobs[0].cwd == str(yaml.parent)
    assert loaded.text == GOOD
    assert len(loaded.sha256) == 64


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    assert said(tmp_path / "jobs.yaml") == "jobs.yaml:1:1: no such file"


def test_a_folder_is_a_problem(tmp_path: Path) -> None:
    assert said(tmp_path).endswith(":1:1: is a folder, expected a file")


def test_a_pipe_nobody_writes_to_is_a_problem(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "jobs.yaml")

    assert said(tmp_path / "jobs.yaml").endswith("is not a regular file")


def test_an_empty_file_is_a_problem(yaml: Path) -> None:
    yaml.write_text("")

    assert said(yaml).startswith("jobs.yaml:1:1: no jobs: the file is empty (")


def test_a_file_of_17_mib_is_a_problem(yaml: Path) -> None:
    with yaml.open("wb") as file:
        file.truncate(17 * 1024**2)

    assert said(yaml) == "jobs.yaml:1:1: is larger than 16 MiB"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_problem(yaml: Path) -> None:
    yaml.chmod(0)

    assert "cannot be read: Permission denied" in said(yaml)


def test_a_name_with_a_nul_is_a_problem() -> None:
    assert "cannot be read" in said(Path("a\0b"))


def test_a_second_load_gives_the_same_from_the_cache(yaml: Path, tmp_path: Path) -> None:
    first = config.load(yaml, {}, tmp_path / "cache")

    second = config.load(yaml, {}, tmp_path / "cache")

    assert second == first
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_what_the_cache_holds_is_what_a_load_gives(yaml: Path, tmp_path: Path) -> None:
    config.load(yaml, {}, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_text(kept.read_text().replace("hello", "from the cache"))

    loaded = config.load(yaml, {}, tmp_path / "cache")

    assert loaded.config is not None
    assert loaded.config.jobs[0].argv == ("echo", "from the cache")


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b"[]", b'{"parsed": 5}'])
def test_a_damaged_entry_of_the_cache_is_ignored(
    yaml: Path, tmp_path: Path, damage: bytes
) -> None:
    config.load(yaml, {}, tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(damage)

    assert config.load(yaml, {}, tmp_path / "cache").config is not None


def test_another_value_of_a_variable_is_not_answered_from_the_cache(
    yaml: Path, tmp_path: Path
) -> None:
    yaml.write_text('jobs: {a: {command: x, description: "${X:-none}"}}')
    environments: list[dict[str, str]] = [{}, {"X": "1"}, {"X": "2"}]

    loaded = [config.load(yaml, environ, tmp_path / "cache") for environ in environments]

    assert [one.config and one.config.jobs[0].description for one in loaded] == ["none", "1", "2"]


def test_another_content_of_a_file_is_not_answered_from_the_cache(
    yaml: Path, tmp_path: Path
) -> None:
    yaml.write_text('jobs: {a: {command: x, description: "${file:secret}"}}')
    (tmp_path / "secret").write_text("old")
    config.load(yaml, {}, tmp_path / "cache")
    (tmp_path / "secret").write_text("new")

    loaded = config.load(yaml, {}, tmp_path / "cache")

    assert loaded.config is not None
    assert loaded.config.jobs[0].description == "new"


def test_the_cache_is_private_and_keeps_the_20_newest(yaml: Path, tmp_path: Path) -> None:
    for number in range(25):
        yaml.write_text(f"jobs: {{a: {{command: x, retries: {number}}}}}")
        config.load(yaml, {}, tmp_path / "cache")

    kept = list((tmp_path / "cache").iterdir())

    assert len(kept) == 20
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}


def test_a_cache_that_cannot_be_written_stops_nothing(yaml: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")

    assert config.load(yaml, {}, tmp_path / "cache").config is not None


@pytest.mark.parametrize(("text", "status"), [(GOOD, 0), ("jobs: 5", 2)], ids=["good", "bad"])
def test_a_child_writes_the_outcome_for_its_parent(
    yaml: Path, tmp_path: Path, text: str, status: int
) -> None:
    yaml.write_text(text)
    out = tmp_path / "outcome.json"
    command = [sys.executable, "-m", "supervisor.config", str(yaml), "--into", str(out)]

    ended = subprocess.run(command, check=False, timeout=20)

    assert ended.returncode == status
    assert config.read_outcome(out) == config.load(yaml, os.environ)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_a_kept_text_is_read_as_though_it_stood_in_the_file(yaml: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "previous"
    kept.parent.mkdir()
    kept.write_text(GOOD)
    yaml.write_text("broken")

    loaded = config.load(yaml, {}, None, kept)

    assert loaded.config is not None
    assert loaded.config.jobs[0].cwd == str(yaml.parent)


def test_a_child_that_takes_too_long_ends_itself(yaml: Path, tmp_path: Path) -> None:
    out = tmp_path / "outcome.json"
    (tmp_path / "slow.py").write_text("import time; time.sleep(10)")
    yaml.write_text("jobs: {a: {worker: 'slow:run'}}")
    command = [sys.executable, "-m", "supervisor.config", str(yaml), "--into", str(out)]

    ended = subprocess.run([*command, "--limit", "1"], check=False, timeout=20)

    assert ended.returncode == -signal.SIGALRM
    assert not out.exists()


def test_reading_an_outcome_imports_no_yaml() -> None:
    code = "import sys, supervisor.config; sys.exit('yaml' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "wrong",
    [
        "timeout: hunter2secret",
        "cron: hunter2secret",
        "worker: hunter2secret",
        "with: {level: hunter2secret, database: a, directory: b}",
        "deps: [hunter2secret]",
    ],
)
def test_a_mistake_that_quotes_a_secret_of_the_text_masks_it(yaml: Path, wrong: str) -> None:
    definition = f"worker: backup.run, env: {{API_TOKEN: hunter2secret}}, {wrong}"
    if wrong.startswith("worker"):
        definition = definition.removeprefix("worker: backup.run, ")
    yaml.write_text(f"jobs: {{a: {{{definition}}}}}\n")

    loaded = config.load(yaml, {})

    assert loaded.config is None
    assert loaded.problems
    assert "hunter2secret" not in repr(loaded.problems)
