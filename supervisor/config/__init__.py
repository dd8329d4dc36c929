"""jobs.yaml -> values, or all that is wrong with it at once.

`keys.py` is the table of what may be said; `reading.py` goes through a text,
`loading.py` through a file. Importing this package imports no YAML: the
supervisor has `python -m supervisor.config` read the file in a child and takes
what that wrote by `read_outcome`.
"""

from collections.abc import Mapping
from pathlib import Path

from supervisor.config.json_schema import schema
from supervisor.config.problems import format_problem
from supervisor.config.result import Loaded, Parsed, WorkerReference, read_outcome
from supervisor.config.worker_check import check_workers

__all__ = [
    "Loaded",
    "Parsed",
    "WorkerReference",
    "check_workers",
    "format_problem",
    "load",
    "parse",
    "read_outcome",
    "schema",
]


def parse(text: bytes, path: Path, environ: Mapping[str, str]) -> Parsed:
    """What a text says; relative paths start from the folder of `path`."""
    # Late, since only those who read a text are to pay for YAML.
    from supervisor.config import parse_text

    return parse_text.parse(text, path, environ)


def load(
    path: Path,
    environ: Mapping[str, str],
    cache_dir: Path | None = None,
    text: Path | None = None,
) -> Loaded:
    """What a file says, its workers checked; kept in `cache_dir` if there is one.

    text: a kept text that stands for the content of `path`.
    """
    # Late, as above.
    from supervisor.config import load_file

    return load_file.load(path, environ, cache_dir, text)
