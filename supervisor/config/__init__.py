"""Loads jobs.yaml: returns values, or all problems of the file at once.

`key_table.py` is the table of keys, `parse_text.py` parses a text, `load_file.py` loads a
file. Importing this package imports neither YAML nor a reader: the supervisor runs
`supervisor.config.__main__` in a child and reads its output with `read_outcome`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisor.config.problems import format_problem
from supervisor.config.result import Loaded, Parsed, WorkerReference, read_outcome

__all__ = [
    "SCHEMA_FILE",
    "Loaded",
    "Parsed",
    "WorkerReference",
    "format_problem",
    "load",
    "parse",
    "read_outcome",
    "schema",
]
# What `schema` returns, as a file that an editor can read.
SCHEMA_FILE = Path(__file__).resolve().with_name("jobs.schema.json")


def schema() -> dict[str, Any]:
    """Return the JSON Schema of jobs.yaml."""
    # Imported here, so that the supervisor does not load the tables of all keys.
    from supervisor.config import json_schema

    return json_schema.schema()


def parse(text: bytes, path: Path, environ: Mapping[str, str]) -> Parsed:
    """Parse a text; relative paths start from the folder of `path`."""
    # Imported here, so that only processes that parse a text load YAML.
    from supervisor.config import parse_text

    return parse_text.parse(text, path, environ)


def load(
    path: Path,
    environ: Mapping[str, str],
    cache_dir: Path | None = None,
    text: Path | None = None,
) -> Loaded:
    """Load a file and check its workers; use the cache in `cache_dir`, if given.

    text: a stored text to use as the content of `path`.
    """
    # Imported here, as above.
    from supervisor.config import load_file

    return load_file.load(path, environ, cache_dir, text)
