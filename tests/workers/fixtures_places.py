"""The servers of places, started once for all files: a bucket or folder is a test's own."""

import pytest

from tests.workers.place_servers import s3_server, sftp_server


@pytest.fixture(scope="session")
def s3():
    """A server that speaks S3."""
    with s3_server() as server:
        yield server


@pytest.fixture(scope="session")
def sftp(tmp_path_factory):
    """OpenSSH's server."""
    with sftp_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server
