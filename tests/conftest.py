"""Fixtures that several rings of tests share, each from the file of its subject."""

from tests.fix_postgres import postgres, postgres_server

__all__ = ["postgres", "postgres_server"]
