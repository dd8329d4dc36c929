"""A clock for one supervisor, which a test may set while it runs (libfaketime).

Only the time of day is faked; what runs on the monotonic clock runs as always.
"""

import importlib.util
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.acceptance.daemon import House

_FOUND = importlib.util.find_spec("libfaketime")
LIBRARY = Path(
    _FOUND.origin if _FOUND and _FOUND.origin else "",
    "../vendor/libfaketime/src/libfaketime.so.1",
)
needs_library = pytest.mark.skipif(
    not os.path.exists(os.path.normpath(LIBRARY)), reason="libfaketime is not installed"
)


class Clock:
    """The time of day of whoever is started in this house."""

    def __init__(self, house: House, local: str) -> None:
        """From here on it goes on from `local`, such as 2026-02-09 01:59:58 (UTC)."""
        self._file = house.root / "clock"
        self._offset_s = 0.0
        self.set(local)
        house.environ |= {
            "LD_PRELOAD": os.path.normpath(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
        }

    def set(self, local: str) -> None:
        """Now it is `local`, and goes on from there."""
        wanted = datetime.fromisoformat(local).replace(tzinfo=UTC)
        self._offset_s = (wanted - datetime.now(UTC)).total_seconds()
        self._write()

    def move(self, seconds: float) -> None:
        """Forward, or back."""
        self._offset_s += seconds
        self._write()

    @property
    def now(self) -> datetime:
        """What it shows."""
        return datetime.fromtimestamp(datetime.now(UTC).timestamp() + self._offset_s, UTC)

    def _write(self) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self._offset_s:+f}\n")
        fresh.replace(self._file)
