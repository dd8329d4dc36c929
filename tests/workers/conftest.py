"""Fixtures that several tests of workers share: a catalogue for sync, servers for copies."""

from collections.abc import Iterator

import pytest

from tests.workers.catalogue_folder import catalogue, params, synced
from tests.workers.place_servers import S3Server, SftpServer, s3_server, sftp_server

__all__ = ["catalogue", "params", "s3", "sftp", "synced"]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """A server that speaks S3. Not for the session: tests of processes end all children."""
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SftpServer]:
    """A server of OpenSSH."""
    with sftp_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server
