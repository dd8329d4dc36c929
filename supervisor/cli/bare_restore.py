"""A restore on a machine that has nothing of Nightshift but the program.

Where there is no jobs.yaml, or no folder in which a ledger could be, there is
nothing that a restore would have to wait for: it is done in this process.
"""

import os
from pathlib import Path

from supervisor.cli.failure import Exit, Failure
from supervisor.cli.places import Places
from supervisor.cli.printing import print_value, say
from supervisor.core.asks import RestoreBackup
from workers.backup import restore as backup_restore
from workers.backup.restore import Restored


def is_bare(here: Places) -> bool:
    """Whether there is no jobs.yaml, or no folder in which a ledger could be."""
    try:
        config, state = here.config, here.state
    except Failure:
        return True
    while not state.exists() and state != state.parent:
        state = state.parent
    return not config.exists() or not os.access(state, os.W_OK)


def restore(wanted: RestoreBackup, as_json: bool) -> int:
    """Restore here and print what was checked.

    Raises:
        Trouble, DatabaseTrouble, OSError: the target is as it was.
    """
    put = backup_restore.restore_unproven if wanted.unproven else backup_restore.restore
    done = put(Path(wanted.file), Path(wanted.target), wanted.force)
    if as_json:
        print_value({"restored": _as_value(wanted, done)})
        return Exit.YES
    say(f"{wanted.target}: restored from {wanted.file}")
    say(f"checked: {done.checked}")
    for warning in done.content.warnings:
        say(warning)
    if done.aside is not None:
        say(f"what was there before is kept in {done.aside}")
    return Exit.YES


def _as_value(wanted: RestoreBackup, done: Restored) -> dict[str, object]:
    return {
        "file": wanted.file,
        "target": wanted.target,
        "aside": None if done.aside is None else str(done.aside),
        "rows": sum(done.content.rows.values()),
        "checked": done.checked,
        "warnings": done.content.warnings,
    }
