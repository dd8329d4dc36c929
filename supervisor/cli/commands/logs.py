"""`nightshift logs`: print the output of a run."""

import io
import sys

import click

from supervisor.cli.command import Number, command, history_source
from supervisor.cli.decode import decode
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.history_source import HistorySource
from supervisor.cli.job_names import job_name
from supervisor.core import responses
from supervisor.core.escape import keep_colours
from workers.units import is_whole

# How many of a job's newest runs are searched for one that started.
RECENT = 50


@command("logs")
@click.argument("which", metavar="JOB|RUN", type=job_name)
@click.option("-f", "--follow", is_flag=True, help="Print new lines until the run ends.")
@click.option("-n", "count", type=Number(0), help="Only the last N lines (default: all).")
@click.option("--grep", metavar="TEXT", help="Only lines that contain this text, in any case.")
@click.option("--raw", is_flag=True, help="Print every byte, terminal escape sequences too.")
def logs(which: str, follow: bool, count: int | None, grep: str | None, raw: bool) -> int:
    """Print the log of a run: by its number, or the newest run of a job.

    On a terminal colours are kept, and other sequences that control it are left out.

    \b
    Examples:
      nightshift logs backup-database -n 20
      nightshift logs 41 -f
      nightshift logs 41 --grep error
    """
    if follow and grep is not None:
        raise click.UsageError("--grep goes without --follow")
    source = history_source()
    run = which if is_whole(which) else str(_newest(source, which))
    write = _write if raw or not sys.stdout.isatty() else _write_safely
    if not follow:
        write(_last_lines(source.get("v1", "runs", run, "log", grep=grep), count))
        return ExitCode.YES
    skipped = 0
    if count is not None:
        so_far = source.get("v1", "runs", run, "log")
        skipped = len(so_far) - len(_last_lines(so_far, count))
    for piece in source.stream("v1", "runs", run, "log", follow=1):
        write(piece[skipped:])
        skipped = max(0, skipped - len(piece))
    return ExitCode.YES


def _newest(source: HistorySource, job: str) -> int:
    """Return the id of the job's newest run that started, else of its newest run.

    Raises:
        CliError: the job has no runs.
    """
    runs = decode(source.get("v1", "runs", job=job, limit=RECENT), responses.Runs).runs
    if not runs:
        source.get("v1", "jobs", job)  # raises on 404
        raise CliError(ExitCode.NO, f"{job} has not run yet", f"nightshift run {job}")
    return next((run.id for run in runs if run.attempt), runs[0].id)


def _last_lines(text: bytes, count: int | None) -> bytes:
    if count is None:
        return text
    # Unlike splitlines, readlines does not split a progress bar at \r.
    return b"".join(io.BytesIO(text).readlines()[-count:]) if count else b""


def _write_safely(piece: bytes) -> None:
    _write(keep_colours(piece.decode(errors="replace")).encode())


def _write(piece: bytes) -> None:
    """Write raw bytes: a job's output may be in any encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
