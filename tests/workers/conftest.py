"""Fixtures that several tests of sync share; a file with another source has its own."""

from tests.workers.catalogue_folder import catalogue, params, synced

__all__ = ["catalogue", "params", "synced"]
