"""docs/deployment.md: the blocks of the container sections.

Container and volume names are unique in an engine. If one of the page's names is in use,
nothing is run, so that no other container or volume is changed. Everything created is removed
at the end.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.acceptance.doc_pages import blocks
from tests.deployment.engine import (
    Engine,
    MissingEngineError,
    Terminal,
    compose_of,
    postgres_of,
    terminal,
)
from tests.waiting import until

COMPOSE_UP, FOLDER, BY_HAND, PAGE, *_ = blocks("docs/deployment.md", "sh")
IMAGE, CONTAINER = "nightshift:local", "nightshift"
VOLUMES = ("nightshift-state", "nightshift-data", "nightshift-backups")
NIGHTSHIFT = "docker compose exec -T nightshift nightshift"
PAGE_URL = "http://127.0.0.1:8470"
# The service checks its configuration once a minute.
SEEN_WITHIN_S = 75
STUBBORN = """
  stubborn: {command: "trap '' TERM HUP INT; echo up; while :; do sleep 0.1; done"}
"""


@pytest.fixture
def free(engine: Engine) -> Iterator[Engine]:
    """Yield an engine in which no name of the page is in use, before and after."""
    names = [("container", CONTAINER), ("image", IMAGE), *(("volume", name) for name in VOLUMES)]
    taken = [f"{kind} {name}" for kind, name in names if engine.has(kind, name)]
    if taken:
        pytest.skip(f"names of the page are in use: {', '.join(taken)}")
    try:
        yield engine
    finally:
        engine.does("rm", "--force", "--volumes", CONTAINER)
        for volume in VOLUMES:
            engine.does("volume", "rm", "--force", volume)
        engine.does("rmi", "--force", IMAGE)


@pytest.fixture
def by_hand(free: Engine, tmp_path: Path) -> Terminal:
    return terminal(free, tmp_path)


@pytest.fixture
def composed(free: Engine, tmp_path: Path) -> Iterator[Terminal]:
    """Yield a terminal with compose, and a PostgreSQL for it."""
    try:
        words, image = compose_of(free), postgres_of(free)
    except MissingEngineError as missing:
        pytest.skip(str(missing))
    one = terminal(free, tmp_path, COMPOSE_AT_HAND=words, POSTGRES_IMAGE=image)
    try:
        yield one
    finally:
        one.types("docker compose down --volumes --timeout 10")


def postpone_the_backup(jobs: Path, more: str = "") -> None:
    """Edit the file as an editor does: write a new file and rename it."""
    text = jobs.read_text()
    assert 'cron: "0 0 * * *"' in text
    new = jobs.with_suffix(".new")
    new.write_text(text.replace('cron: "0 0 * * *"', 'cron: "43 21 * * *"') + more)
    new.chmod(0o644)
    new.replace(jobs)


def test_the_container_by_hand(by_hand: Terminal) -> None:
    *until_stop, stop = BY_HAND.splitlines(keepends=True)
    docker = by_hand.engine

    printed = by_hand.types("".join(until_stop))

    assert "no mistakes" in printed
    until(lambda: docker.does("exec", CONTAINER, "nightshift", "healthcheck").returncode == 0, 20)
    assert "backup-database" in docker.says("exec", CONTAINER, "nightshift", "status")

    postpone_the_backup(by_hand.folder / "config" / "jobs.yaml", STUBBORN)

    def next_backup() -> str:
        return docker.says("exec", CONTAINER, "nightshift", "next", "backup-database")

    until(lambda: "21:43" in next_backup(), SEEN_WITHIN_S)

    docker.says("exec", CONTAINER, "nightshift", "run", "stubborn")
    until(lambda: "up" in docker.says("exec", CONTAINER, "nightshift", "logs", "stubborn"))
    assert stop.startswith("docker stop ")

    by_hand.types(stop)

    # After 10 s the engine would send SIGKILL, and the status would be 137.
    assert docker.says("inspect", "--format={{.State.ExitCode}}", CONTAINER) == "0"


def test_compose_with_a_postgresql_beside_it(composed: Terminal) -> None:
    printed = composed.types(COMPOSE_UP)

    assert "replicate-to-pg" in printed
    assert (composed.folder / "secrets").stat().st_mode & 0o777 == 0o700
    for job in ("sync-missing-sets", "sync-missing-cards", "replicate-to-pg"):
        composed.types(f"{NIGHTSHIFT} run {job} --wait")

    composed.types(FOLDER)

    assert "success" in composed.types(f"{NIGHTSHIFT} history replicate-to-pg")  # restored

    postpone_the_backup(composed.folder / "config" / "jobs.yaml")
    ask = f"{NIGHTSHIFT} next backup-database"
    until(lambda: "21:43" in composed.types(ask), SEEN_WITHIN_S)


def test_the_page_in_a_container_beside_it(composed: Terminal) -> None:
    composed.types(PAGE)
    name, _, password = (composed.folder / "secrets/web_people").read_text().strip().partition(":")

    def answered() -> bool:
        try:
            return requests.get(PAGE_URL, timeout=5).status_code == 401
        except requests.ConnectionError:
            return False

    until(answered, 20)
    visitor = requests.Session()
    person = {"name": name, "password": password}
    signed_in = visitor.post(f"{PAGE_URL}/login", person, headers={"Origin": PAGE_URL}, timeout=5)

    assert (signed_in.status_code, "backup-database" in signed_in.text) == (200, True)
