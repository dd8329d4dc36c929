"""Servers for places, one of each kind for each file; a test has its own bucket or folder."""

import pytest

from tests.workers.place_servers import sftp_server
from tests.workers.s3_server import s3_server


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """Start a server that speaks S3. Not for the session: tests of processes end all children."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def sftp(tmp_path_factory):
    """Start OpenSSH's server."""
    with sftp_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server
