"""The log of the agent and the leader of a host, bounded, in its state folder."""

import logging
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

MOST_BYTES = 1024 * 1024


class LogFile:
    """A file of lines with their time; the one before it is kept."""

    def __init__(self, path: Path) -> None:
        handler = RotatingFileHandler(path, maxBytes=MOST_BYTES, backupCount=1, encoding="utf-8")
        self._logger = logging.Logger("cluster")
        self._logger.addHandler(handler)
        self._last = ""

    def write(self, text: str) -> None:
        """Write a line with the time in UTC."""
        self._last = ""
        self.copy(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} agent   {text}")

    def copy(self, line: str) -> None:
        """Write a line as it is."""
        self._logger.info("%s", line)

    def write_once(self, text: str) -> None:
        """Write a line, unless it is the one that was written so before."""
        if text != self._last:
            self.write(text)
            self._last = text
