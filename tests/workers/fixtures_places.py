"""The servers of places, one of a kind for a file; a bucket or folder is a test's own."""

import pytest

from tests.workers.place_servers import sftp_server
from tests.workers.s3_server import s3_server


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A server that speaks S3. Not for the session: tests of processes end all children."""
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def sftp(tmp_path_factory):
    """OpenSSH's server."""
    with sftp_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server
