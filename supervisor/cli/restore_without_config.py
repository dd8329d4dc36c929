"""Restore a backup on a machine where only the program is installed.

Without jobs.yaml, or without a writable folder for a ledger, there are no runs to wait
for, so the restore is done in this process.
"""

import os
from pathlib import Path

from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import echo, print_value
from supervisor.cli.paths import Paths
from supervisor.core.control_requests import RestoreBackup
from workers.backup import restore as backup_restore
from workers.backup.restore import Restored


def is_bare(here: Paths) -> bool:
    """Return whether there is no jobs.yaml, or no writable folder for a ledger."""
    try:
        config, state = here.config, here.state
    except CliError:
        return True
    while not state.exists() and state != state.parent:
        state = state.parent
    return not config.exists() or not os.access(state, os.W_OK)


def restore(wanted: RestoreBackup, as_json: bool) -> int:
    """Restore in this process and print what was checked.

    Raises:
        BackupError, DatabaseError, OSError: the target is unchanged.
    """
    put = backup_restore.restore_unproven if wanted.unproven else backup_restore.restore
    done = put(Path(wanted.file), Path(wanted.target), wanted.force)
    if as_json:
        print_value({"restored": _as_value(wanted, done)})
        return ExitCode.YES
    echo(f"{wanted.target}: restored from {wanted.file}")
    echo(f"checked: {done.checked}")
    for warning in done.content.warnings:
        echo(warning)
    if done.aside is not None:
        echo(f"what was there before is kept in {done.aside}")
    return ExitCode.YES


def _as_value(wanted: RestoreBackup, done: Restored) -> dict[str, object]:
    return {
        "file": wanted.file,
        "target": wanted.target,
        "aside": None if done.aside is None else str(done.aside),
        "rows": sum(done.content.rows.values()),
        "checked": done.checked,
        "warnings": done.content.warnings,
    }
