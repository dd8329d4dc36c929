"""Debian's cron as a peer, with tables of its own and away from the machine's.

cron reads fixed places. In a mount namespace these are empty folders of its own,
so that it runs nothing else and disturbs no other cron; that needs the rights
to make one. The program is `cron` on PATH or $CRON.
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
# Debian's tables, spool and lock; what is there is hidden from this one process.
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
    """The cron to measure; None where there is none."""
    return os.environ.get("CRON") or shutil.which("cron", path=f"{os.environ['PATH']}:/usr/sbin")


@cache
def is_here() -> bool:
    """Whether there is one, and it may have a space of its own."""
    if program() is None or os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run([*_SPACE, "true"], capture_output=True).returncode == 0


def crontab_of(commands: Mapping[str, Sequence[str]]) -> str:
    """These commands, once a minute."""
    lines = (f"* * * * * {' '.join(words)}" for words in commands.values())
    return "\n".join(['MAILTO=""', *lines]) + "\n"


@contextmanager
def cron(folder: Path, text: str) -> Iterator[None]:
    """A cron that runs these lines, until the end of the block."""
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
