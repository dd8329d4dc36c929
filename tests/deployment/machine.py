"""A machine that runs systemd for the duration of a test: a container.

Nothing is installed on the tester's machine. Beyond the rights of every container it may
mount, which the sandbox of a unit needs.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.deployment.engine import Engine, MissingEngineError
from tests.waiting import until

IMAGE = "localhost/nightshift-tests-systemd"
CHECKOUT = "/root/nightshift"
UP = ("running", "degraded")
PODMANS = ("--systemd=always",)
# podman does this by default. A container's own control groups are read-only at first.
DOCKERS = ("--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp", "--env=container=docker",
           "--security-opt=apparmor=unconfined", "--cgroupns=private")  # fmt: skip
WRITABLE = "mount -o remount,rw /sys/fs/cgroup; exec /sbin/init"
LIMIT_S = 30


@dataclass(frozen=True, slots=True)
class Machine:
    """A running machine, with a root shell in a copy of the checkout."""

    engine: Engine
    name: str

    def tries(self, block: str, **environ: str) -> "tuple[int, str]":
        """Run a block up to its first failure; return exit status and all output."""
        given = [f"--env={key}={text}" for key, text in environ.items()]
        words = ["exec", "--interactive", f"--workdir={CHECKOUT}", *given, self.name]
        done = self.engine.does(*words, "sh", "-eu", "-s", types=f"exec 2>&1\n{block}")
        return done.returncode, done.stdout

    def types(self, block: str, **environ: str) -> str:
        """Return the output of commands that must succeed."""
        status, printed = self.tries(block, **environ)
        assert status == 0, f"{block}\n{printed[-3000:]}"
        return printed

    def write(self, path: str, text: str) -> None:
        """Write a file of root that every user may read, and create its folder."""
        words = ("exec", "--interactive", self.name, "install", "-D", "-m", "0644")
        self.engine.says(*words, "/dev/stdin", path, types=text)

    def shows(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.types(f"systemctl show --property {name} --value {unit}").strip()


@contextmanager
def machine(engine: Engine, checkout: Path) -> Iterator[Machine]:
    """Start a machine with the checkout; wait until it is up. Raises: MissingEngineError."""
    image = engine.build("systemd", IMAGE)
    name = f"nightshift-systemd-{uuid.uuid4().hex[:8]}"
    options = PODMANS if engine.is_podman else DOCKERS
    command = () if engine.is_podman else ("sh", "-c", WRITABLE)
    one = Machine(engine, name)
    try:
        engine.says("run", "--detach", f"--name={name}", "--cap-add=SYS_ADMIN", *options, image,
                    *command)  # fmt: skip
        _await(one)
        engine.says("cp", f"{checkout}/.", f"{name}:{CHECKOUT}")
        yield one
    finally:
        engine.does("rm", "--force", "--volumes", name)


def _await(one: Machine) -> None:
    asks = ("exec", one.name, "systemctl", "is-system-running")
    try:
        until(lambda: one.engine.does(*asks).stdout.strip() in UP, LIMIT_S)
    except AssertionError:
        said = one.engine.does("logs", one.name)
        last = (said.stdout + said.stderr).strip()[-300:] or "it says nothing"
        raise MissingEngineError(f"systemd does not come up in a container here: {last}") from None
