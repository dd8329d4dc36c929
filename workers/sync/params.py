"""Parameters of a sync job from its `with` block."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from workers import path_text
from workers.url_text import is_url

# The API returns at most this many entries for a larger pageSize.
LARGEST_PAGE = 250
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of `sync.missing_sets` and `sync.missing_cards`.

    catalogue: a folder (`sets.json`, `cards/<set id>.d/cards.json`) or the
        base URL of a Pokémon TCG API.
    database: the SQLite file; its folder must exist.
    batch_size: entries per page asked of the API, and rows per INSERT.
    prune: delete what the catalogue no longer has, instead of naming it.
    api_key: sent as X-Api-Key if there is one; never logged.
    """

    catalogue: str
    database: Path
    batch_size: int = 100
    prune: bool = False
    api_key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        scheme = _SCHEME.match(self.catalogue)
        is_remote = scheme is not None and scheme[1].lower() in ("http", "https")
        wrong = "" if is_remote else path_text.mistake(self.catalogue)
        if not self.catalogue or wrong:
            got = wrong.partition("got ")[2] or "nothing"
            raise ValueError(f"catalogue: expected a folder or an http(s) URL, got {got}")
        if is_remote and not is_url(self.catalogue.lower()):
            # Not shown, because it may hold a password.
            raise ValueError("catalogue: expected an http(s) URL with a valid host and port")
        if self.remote and any(mark in self.catalogue for mark in "?#"):
            raise ValueError("catalogue: expected a base URL, without ? and #")
        if not 1 <= self.batch_size <= LARGEST_PAGE:
            raise ValueError(f"batch_size: expected 1 to {LARGEST_PAGE}, got {self.batch_size}")
        if any(not " " <= letter <= "~" for letter in self.api_key):
            raise ValueError("api_key: expected printable ASCII, as a header must be")

    @property
    def remote(self) -> bool:
        """Return whether the catalogue is an API rather than a folder."""
        return _SCHEME.match(self.catalogue) is not None
