"""A container engine, the images that the page's blocks need, and a terminal to run them.

These environment variables also apply to compose.yaml and scripts/compose-up:

    BASE            the image to build upon, if the Dockerfile's own is not available
    POSTGRES_IMAGE  a PostgreSQL; without it, and without the official one, one is
                    made of BASE and Debian's package (postgres/Dockerfile)
    COMPOSE         another compose than `docker compose`: podman-compose
    PIP_INDEX_URL   a mirror of PyPI; certificates to trust belong into BASE

The page says `docker`. A reader with podman has a command of that name, and so has the
terminal: its `docker` calls the engine found here, with the name of the base. The images
nightshift-tests-* belong to these tests and are kept for the next run.
"""

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PROGRAMS = ("docker", "podman")
POSTGRES = "postgres:16-bookworm"
# Variables that would select the tester's own compose project, whose volumes would be removed.
OF_COMPOSE = ("COMPOSE", "CONFIG", "CATALOGUE", "CRON_", "MEMORY", "NIGHTSHIFT", "POSTGRES")
# For a build that fetches each package, on a busy machine.
LIMIT_S = 600
# Files that a trial leaves at the top of a checkout, and the repository itself.
LEFT_OUT = {".git", ".venv", "var", "secrets", "config", "build", "nightshift_cron.egg-info"}
LEFT_OUT |= {".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}


class MissingEngineError(Exception):
    """Why the page's commands cannot be run here."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine: the path of docker or podman, and the image to build upon."""

    program: str
    base: str

    @property
    def is_podman(self) -> bool:
        return Path(self.program).name == "podman"

    def does(self, *words: str, types: str = "") -> "subprocess.CompletedProcess[str]":
        """Return how a command ended; types: its standard input."""
        return _run([self.program, *words], input=types)

    def says(self, *words: str, types: str = "") -> str:
        """Return the output of a command that must succeed."""
        done = self.does(*words, types=types)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def has(self, kind: str, name: str) -> bool:
        """Return whether there is such an image, container or volume."""
        return self.does(kind, "inspect", name).returncode == 0

    def obtain(self, image: str) -> None:
        """Pull an image unless it is there. Raises: MissingEngineError."""
        if not self.has("image", image):
            _wanted(self.does("pull", image), f"the image {image} cannot be had")

    def build(self, folder: str, tag: str) -> str:
        """Build a Dockerfile of this folder on the base; return the image.

        Raises:
            MissingEngineError: the build failed.
        """
        words = ["build", f"--build-arg=BASE={self.base}", f"--tag={tag}", str(HERE / folder)]
        _wanted(self.does(*words), f"{folder} cannot be built upon {self.base}")
        return tag


@dataclass(frozen=True, slots=True)
class Terminal:
    """A copy of the checkout, and a shell in it like that of the page's reader."""

    engine: Engine
    folder: Path
    environ: dict[str, str]

    def types(self, block: str) -> str:
        """Return the output of a block of commands, each of which must succeed."""
        done = _run(["/bin/sh", "-eu", "-c", block], cwd=self.folder, env=self.environ)
        assert done.returncode == 0, f"{block}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout


def found() -> Engine:
    """Return an engine that answers, and its base image. Raises: MissingEngineError."""
    reasons = []
    for name in PROGRAMS:
        program = shutil.which(name)
        if program is None:
            reasons.append(f"there is no {name}")
            continue
        engine = Engine(program, os.environ.get("BASE") or _default_base())
        asked = engine.does("info")
        if asked.returncode == 0:
            engine.obtain(engine.base)
            return engine
        reasons.append(f"{name} does not answer: {_last_words(asked)}")
    raise MissingEngineError("; ".join(reasons))


def checkout(folder: Path) -> Path:
    """Copy the files of the checkout, except what a trial leaves."""

    def left_out(source: str, names: list[str]) -> set[str]:
        return LEFT_OUT & set(names) if Path(source) == ROOT else set()

    return Path(shutil.copytree(ROOT, folder, ignore=left_out))


def terminal(engine: Engine, folder: Path, **environ: str) -> Terminal:
    """Open a terminal in a new folder; environ: added to the tester's environment."""
    docker = folder / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(_docker(engine))
    docker.chmod(0o755)
    inherited = {key: text for key, text in os.environ.items() if not key.startswith(OF_COMPOSE)}
    path = f"{docker.parent}:{inherited['PATH']}"
    # podman's own format has no HEALTHCHECK.
    more = {"PATH": path, "BASE": engine.base, "BUILDAH_FORMAT": "docker"}
    # Compose names its containers and volumes after the folder.
    copy = checkout(folder / f"nightshift-typed-{os.getpid()}")
    return Terminal(engine, copy, {**inherited, **more, **environ})


def compose_of(engine: Engine) -> str:
    """Return the first words of a compose command. Raises: MissingEngineError."""
    named = os.environ.get("COMPOSE")
    tries = [named] if named else [f"{engine.program} compose"]
    if engine.is_podman and not named:
        tries.append("podman-compose")
    for words in tries:
        if shutil.which(words.split()[0]) and _run([*words.split(), "version"]).returncode == 0:
            return words
    raise MissingEngineError(
        f"no compose is installed: tried {', '.join(tries)}; COMPOSE names another"
    )


def postgres_of(engine: Engine) -> str:
    """Return a PostgreSQL image for compose.yaml. Raises: MissingEngineError."""
    named = os.environ.get("POSTGRES_IMAGE")
    if named:
        engine.obtain(named)
        return named
    try:
        engine.obtain(POSTGRES)
    except MissingEngineError:
        return engine.build("postgres", "localhost/nightshift-tests-postgres")
    return POSTGRES


def _docker(engine: Engine) -> str:
    """Return the script that is `docker` at the terminal."""
    index = os.environ.get("PIP_INDEX_URL")
    arguments = [f"--build-arg=BASE={engine.base}"]
    arguments += [f"--build-arg=PIP_INDEX_URL={index}"] if index else []
    return f"""#!/bin/sh
case $1 in
compose) shift; exec $COMPOSE_AT_HAND "$@" ;;
build) shift; exec {engine.program} build {shlex.join(arguments)} "$@" ;;
*) exec {engine.program} "$@" ;;
esac
"""


def _default_base() -> str:
    line = (ROOT / "Dockerfile").read_text().partition("ARG BASE=")[2]
    return line.split()[0]


def _wanted(done: "subprocess.CompletedProcess[str]", otherwise: str) -> None:
    if done.returncode != 0:
        raise MissingEngineError(f"{otherwise}: {_last_words(done)}")


def _last_words(done: "subprocess.CompletedProcess[str]") -> str:
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return said[-1] if said else f"exit {done.returncode}"


def _run(words: list[str], **options: object) -> "subprocess.CompletedProcess[str]":
    if "input" not in options:
        options["stdin"] = subprocess.DEVNULL
    return subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, **options)  # type: ignore[call-overload]
