"""Real servers for copies that leave the machine: one that speaks S3, and OpenSSH's.

Each is a process of its own on a loopback port. Where one cannot be had, the tests that
need it are skipped with the reason.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until
from workers.backup.places.place import Place

needs_age = pytest.mark.skipif(find_spec("pyrage") is None, reason="pyrage is not installed")
PREFIX = "night/copies"
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class S3Server:
    """A server that speaks S3; each bucket is a test's own."""

    endpoint: str

    def bucket(self, name: str, **more: Any) -> str:
        """Make a bucket and return the URL of a path in it."""
        self.client.create_bucket(Bucket=name, **more)
        return f"s3://{name}/{PREFIX}"

    def put(self, bucket: str, name: str, content: bytes) -> None:
        """Write an object as another program does."""
        self.client.put_object(Bucket=bucket, Key=f"{PREFIX}/{name}", Body=content)

    def get(self, bucket: str, name: str) -> Any:
        """Return what another program gets of an object."""
        return self.client.get_object(Bucket=bucket, Key=f"{PREFIX}/{name}")

    @property
    def client(self) -> Any:
        """Return Amazon's own client, which is not what our code uses."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="an-id",
            aws_secret_access_key="a-secret-key",
        )

    def place(self, to: str, **more: Any) -> Place:
        """Return the place of that URL on this server."""
        known = {"endpoint": self.endpoint, "region": "us-east-1", "answer": 5.0}
        keys = {"access_key_id": "an-id", "secret_access_key": "a-secret-key"}
        return Place(to, **(known | keys | more))


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start a server in a process of its own; skips without one."""
    for module in ("moto", "flask", "flask_cors", "obstore"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: listens(port) or server.poll() is not None, within_s=60)
            assert server.poll() is None
            yield S3Server(f"http://127.0.0.1:{port}")
        finally:
            server.kill()


@dataclass(frozen=True)
class SftpServer:
    """OpenSSH's own server with internal-sftp, and a user's configuration that reaches it."""

    port: int
    config: Path
    process: "subprocess.Popen[bytes]"

    def place(self, folder: Path, **more: Any) -> Place:
        """Return the place that is that folder."""
        named = str(folder).replace("%", "%25").replace("#", "%23").replace("?", "%3F")
        to = f"sftp://127.0.0.1:{self.port}{named}"
        return Place(to, **({"ssh_config": self.config, "answer": 6.0} | more))


@contextmanager
def sftp_server(room: Path) -> Iterator[SftpServer]:
    """Start a server with keys of its own in the folder `room`; skips without one."""
    if SSHD is None or shutil.which("sftp") is None:
        pytest.skip("openssh-server or openssh-client is not installed")
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(room / name)]
        subprocess.run(command, check=True)
    port = free_port()
    (room / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {room}/host\nPidFile none\n"
        f"AuthorizedKeysFile {room}/user.pub\nStrictModes no\nPasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\n"
        "ForceCommand internal-sftp\nUseDNS no\n"
    )
    (room / "known").write_text(f"[127.0.0.1]:{port} {(room / 'host.pub').read_text()}")
    config = room / "ssh_config"
    config.write_text(
        f"Host *\nIdentityFile {room}/user\nIdentitiesOnly yes\nUserKnownHostsFile {room}/known\n"
        "StrictHostKeyChecking yes\nKexAlgorithms curve25519-sha256\n"
    )
    if os.geteuid() == 0:
        # Debian's unit makes it; without it the server refuses to start.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    command = [SSHD, "-D", "-e", "-f", str(room / "sshd_config")]
    with (
        open(room / "log", "wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as server,
    ):
        try:
            until(lambda: listens(port) or server.poll() is not None)
            if server.poll() is not None:
                pytest.skip(f"sshd does not start here: {(room / 'log').read_text()[-200:]}")
            yield SftpServer(port, config, server)
        finally:
            server.terminate()


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        number: int = found.getsockname()[1]
        return number


def listens(port: int) -> bool:
    """Return whether something accepts connections on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
