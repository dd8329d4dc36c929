"""The page of the configuration: texts of jobs.yaml that were read, and what came of them."""

from datetime import datetime

from msgspec import Struct


class ReloadRow(Struct, frozen=True):
    """A text of jobs.yaml: taken or refused, and what was said of it."""

    at: datetime
    accepted: bool
    said: str = ""
    sha256: str = ""


class ReloadRows(Struct, frozen=True):
    """Texts of jobs.yaml that were read, newest first."""

    reloads: tuple[ReloadRow, ...] = ()
