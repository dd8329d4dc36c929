"""A container engine, the images that the page's blocks need, and a terminal to type them at.

What a variable names here, it names for compose.yaml and scripts/compose-up too:

    BASE            the image to build upon, where the Dockerfile's own cannot be had
    POSTGRES_IMAGE  a PostgreSQL; without it, and without the official one, one is
                    made of BASE and Debian's package (postgres/Dockerfile)
    COMPOSE         another compose than `docker compose`: podman-compose
    PIP_INDEX_URL   a mirror of PyPI; certificates to trust belong into BASE

The page says `docker`. A reader with podman has a command by that name, and so has
the terminal: its `docker` is the engine that answers, with the name of the base. The images
nightshift-tests-* are these tests' own, and stay for the next time.
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
# What would make of the page's a compose of the tester's own, whose volumes are then removed.
OF_COMPOSE = ("COMPOSE", "CONFIG", "CATALOGUE", "CRON_", "MEMORY", "NIGHTSHIFT", "POSTGRES")
# A build that fetches each package, on a busy machine.
LIMIT_S = 600
# What a trial leaves at the top of a checkout, and the repository itself.
LEFT_OUT = {".git", ".venv", "var", "secrets", "config", "build", "nightshift_cron.egg-info"}
LEFT_OUT |= {".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}


class MissingEngineError(Exception):
    """The page cannot be typed here, and why."""


@dataclass(frozen=True, slots=True)
class Engine:
    """docker or podman, by the path of its command line, and the image to build upon."""

    program: str
    base: str

    @property
    def is_podman(self) -> bool:
        return Path(self.program).name == "podman"

    def does(self, *words: str, types: str = "") -> "subprocess.CompletedProcess[str]":
        """How a command ended; types: its standard input."""
        return _run([self.program, *words], input=types)

    def says(self, *words: str, types: str = "") -> str:
        """The output of a command that must succeed."""
        done = self.does(*words, types=types)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def has(self, kind: str, name: str) -> bool:
        """Whether there is such an image, container or volume."""
        return self.does(kind, "inspect", name).returncode == 0

    def obtain(self, image: str) -> None:
        """Have an image, pulled if it is not there. Raises: Missing."""
        if not self.has("image", image):
            _wanted(self.does("pull", image), f"the image {image} cannot be had")

    def build(self, folder: str, tag: str) -> str:
        """The image that a Dockerfile beside this file makes of the base. Raises: Missing."""
        words = ["build", f"--build-arg=BASE={self.base}", f"--tag={tag}", str(HERE / folder)]
        _wanted(self.does(*words), f"{folder} cannot be built upon {self.base}")
        return tag


@dataclass(frozen=True, slots=True)
class Terminal:
    """A copy of the checkout, and a shell in it as the page's reader has one."""

    engine: Engine
    folder: Path
    environ: dict[str, str]

    def types(self, block: str) -> str:
        """What a block of commands prints; it stops at the first failure, and none may fail."""
        done = _run(["/bin/sh", "-eu", "-c", block], cwd=self.folder, env=self.environ)
        assert done.returncode == 0, f"{block}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout


def found() -> Engine:
    """The engine that answers, with a base that is there. Raises: Missing."""
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
    """A copy of what is under version control, about; nothing of a trial is in it."""

    def left_out(source: str, names: list[str]) -> set[str]:
        return LEFT_OUT & set(names) if Path(source) == ROOT else set()

    return Path(shutil.copytree(ROOT, folder, ignore=left_out))


def terminal(engine: Engine, folder: Path, **environ: str) -> Terminal:
    """A terminal in a new folder; environ: beside that of the tester."""
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
    """The words that begin a command of compose. Raises: Missing."""
    named = os.environ.get("COMPOSE")
    tries = [named] if named else [f"{engine.program} compose"]
    if engine.is_podman and not named:
        tries.append("podman-compose")
    for words in tries:
        if shutil.which(words.split()[0]) and _run([*words.split(), "version"]).returncode == 0:
            return words
    raise MissingEngineError(
        f"there is no compose: tried {', '.join(tries)}; COMPOSE names another"
    )


def postgres_of(engine: Engine) -> str:
    """An image of PostgreSQL for compose.yaml. Raises: Missing."""
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
    """The script that is `docker` at the terminal."""
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
