"""Servers for places outside the machine: Azure's API, and OpenSSH.

Each is a process on a loopback port. Where its program is missing, the tests that need it are
skipped with the reason.
"""

import base64
import hmac
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.waiting import until
from tests.workers.s3_server import PREFIX
from workers.backup.places.place import Place

needs_age = pytest.mark.skipif(find_spec("pyrage") is None, reason="pyrage is not installed")
AZURITE = shutil.which("azurite-blob")
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


# The documented account of this test server, whose key is public.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@dataclass(frozen=True)
class AzureServer:
    """Azurite, Microsoft's own test server, which speaks Azure Blob Storage."""

    url: str
    log: Path

    def container(self, name: str) -> str:
        """Make a container, signed as Microsoft documents it; return the URL of a path in it."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
        named = "".join(f"{key}:{value}\n" for key, value in sorted(headers.items()))
        resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{name}\nrestype:container"
        text = f"PUT{chr(10) * 12}{named}{resource}".encode()
        mac = hmac.digest(base64.b64decode(AZURE_KEY), text, "sha256")
        headers["Authorization"] = f"SharedKey {AZURE_ACCOUNT}:{base64.b64encode(mac).decode()}"
        url = f"{self.url}/{AZURE_ACCOUNT}/{name}?restype=container"
        requests.put(url, headers=headers, timeout=30).raise_for_status()
        return f"az://{name}/{PREFIX}"

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment that the job's `env` must set."""
        return {
            "AZURE_STORAGE_ACCOUNT_NAME": AZURE_ACCOUNT,
            "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY,
            "AZURE_STORAGE_USE_EMULATOR": "true",
            "AZURITE_BLOB_STORAGE_URL": self.url,
        }


@contextmanager
def azure_server(room: Path) -> Iterator[AzureServer]:
    """Start the server in a process; skip where there is none."""
    if AZURITE is None or find_spec("obstore") is None:
        pytest.skip("azurite is not installed (npm install --global azurite), or obstore is not")
    port = free_port()
    command = [AZURITE, "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command += ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    with (
        open(room / "log", "wb") as log,
        subprocess.Popen(command, cwd=room, stdout=log, stderr=log) as server,
    ):
        try:
            until(lambda: listens(port) or server.poll() is not None, within_s=60)
            assert server.poll() is None, (room / "log").read_text()
            yield AzureServer(f"http://127.0.0.1:{port}", room / "log")
        finally:
            server.kill()


@dataclass(frozen=True)
class SftpServer:
    """OpenSSH's own server with internal-sftp, and a client configuration that reaches it."""

    port: int
    config: Path
    process: "subprocess.Popen[bytes]"

    def place(self, folder: Path, **more: Any) -> Place:
        """Return the place for that folder."""
        named = str(folder).replace("%", "%25").replace("#", "%23").replace("?", "%3F")
        to = f"sftp://127.0.0.1:{self.port}{named}"
        return Place(to, **({"ssh_config": self.config, "answer": 20.0} | more))


@contextmanager
def sftp_server(room: Path) -> Iterator[SftpServer]:
    """Start a server with its own keys in the folder `room`; skip where there is none."""
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
        # Debian's unit creates this folder; without it the server refuses to start.
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
