"""Debian's cron as a peer, with its own crontabs, isolated from the machine's.

cron reads fixed paths. In a private mount namespace these are empty folders, so that it
runs nothing else and disturbs no other cron. That needs root. The program is $CRON, or
`cron` on PATH.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from memory import ended

END_S = 2.0
_SPACE = ("unshare", "--mount", "--propagation", "private", "--")
# Debian's crontabs, spool and lock; their content is hidden from this process only.
_STAGE = """
set -e
for place in /etc/cron.d /var/spool /run; do
    if [ -d $place ]; then mount -t tmpfs none $place; fi
done
touch /run/empty
if [ -e /etc/crontab ]; then mount --bind /run/empty /etc/crontab; fi
mkdir -p /var/spool/cron/crontabs
chmod 700 /var/spool/cron/crontabs
install -m 600 "$2" /var/spool/cron/crontabs/root
exec "$1" -f
"""


def program() -> str | None:
    """Return the path of the cron to measure, or None if there is none."""
    return os.environ.get("CRON") or shutil.which("cron", path=f"{os.environ['PATH']}:/usr/sbin")


@cache
def is_here() -> bool:
    """Return whether there is a cron, and a mount namespace can be created for it."""
    if program() is None or os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run([*_SPACE, "true"], capture_output=True).returncode == 0


def crontab_of(commands: Mapping[str, Sequence[str]]) -> str:
    """Return a crontab that runs each command every minute."""
    lines = (f"* * * * * {' '.join(words)}" for words in commands.values())
    return "\n".join(['MAILTO=""', *lines]) + "\n"


@contextmanager
def cron(folder: Path, text: str) -> Iterator[None]:
    """Run cron with this crontab until the end of the block."""
    table = folder / "crontab"
    table.write_text(text)
    process = subprocess.Popen(
        [*_SPACE, "/bin/sh", "-c", _STAGE, "sh", str(program()), str(table)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"cron ended with {process.returncode}")
    finally:
        ended(process, END_S)
