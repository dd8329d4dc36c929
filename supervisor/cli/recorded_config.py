"""What jobs.yaml says about a ledger that is read without its supervisor.

The text in force is kept in the state folder; the file itself may be newer, or
elsewhere. Workers are not loaded. Secrets are taken from both texts.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from supervisor.cli.errors import CliError
from supervisor.cli.paths import Paths
from supervisor.config.fingerprint import LARGEST_BYTES
from supervisor.config.parse_text import parse
from supervisor.config.problems import BadValueError
from supervisor.config.timezones import system_zone
from supervisor.core.config_model import Config
from supervisor.redaction.mask import Mask, mask_of
from supervisor.redaction.secrets import secrets_among
from supervisor.state_dir import StateDir
from workers.regular_file import UnreadableFileError, read_regular


@dataclass(frozen=True, slots=True)
class RecordedConfig:
    """Definitions, zone and mask; config None: no text of jobs.yaml is valid here."""

    config: Config | None
    timezone: str
    mask: Mask


def recorded_config(here: Paths, folder: Path) -> RecordedConfig:
    """Return what the texts of jobs.yaml say: the one in force, else the file."""
    secrets = list(secrets_among(os.environ.items()))
    config = None
    for text, path in _texts(here, folder):
        found = parse(text, path, os.environ)
        secrets += found.secrets
        config = config or found.config
    zone = _machine_zone() if config is None else config.timezone
    return RecordedConfig(config, zone, mask_of(config or Config(()), secrets))


def _texts(here: Paths, folder: Path) -> Iterator[tuple[bytes, Path]]:
    """Yield each text that can be read, with the path from which relative ones start."""
    accepted = StateDir(folder).accepted
    try:
        file = here.config
    except CliError:
        file = accepted
    for path in dict.fromkeys((accepted, file)):
        try:
            yield read_regular(path, LARGEST_BYTES), file
        except UnreadableFileError:
            continue


def _machine_zone() -> str:
    try:
        return system_zone(os.environ).name
    except BadValueError:
        return "UTC"
