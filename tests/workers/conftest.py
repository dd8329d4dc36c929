"""Fixtures shared by the tests of workers; a file that needs another source defines its own."""

from tests.workers.catalogue_folder import catalogue, params, synced
from tests.workers.fixtures_places import s3, sftp
from tests.workers.fixtures_replication import embedded, source

__all__ = ["catalogue", "embedded", "params", "s3", "sftp", "source", "synced"]
