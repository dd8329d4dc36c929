"""Loads jobs.yaml at startup in a child process, so that no file can block the start.

The child first sends the fingerprint of the file, then the outcome of the load. A child
that survives SIGKILL, on a dead mount, is abandoned after one second.
"""

import contextlib
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import msgspec
from msgspec import Struct

from supervisor.config import Loaded, load
from supervisor.config.fingerprint import LIMIT_S, fingerprint
from supervisor.config.result import gc_paused
from supervisor.containment import process_tree
from supervisor.core.config_model import Problem

READ_LIMIT_S = 60.0


class FirstReading(Struct, frozen=True):
    """The loaded file; found: its fingerprint (see `fingerprint.fingerprint`)."""

    loaded: Loaded
    found: str


def load_in_child(
    path: Path,
    environ: Mapping[str, str],
    cache_dir: Path,
    text: Path | None = None,
    meanwhile: Callable[[], object] | None = None,
) -> FirstReading:
    """Load jobs.yaml in a child; report a timeout as a problem of the file.

    text: a stored text to use as the content of `path`. meanwhile: is called while the
    child reads.
    """
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    asker = os.getpid()
    pid = os.fork()
    if pid == 0:
        _answer(path, environ, cache_dir, text, theirs, asker)
    os.close(theirs)
    try:
        if meanwhile is not None:
            meanwhile()
        return _received(ours)
    finally:
        os.close(ours)
        _end(pid)


def _answer(
    path: Path,
    environ: Mapping[str, str],
    cache_dir: Path,
    text: Path | None,
    pipe: int,
    asker: int,
) -> NoReturn:
    """Run the child: send the fingerprint and the outcome, then exit."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if process_tree.set_parent_death_signal(asker, signal.SIGKILL):
            _write(pipe, fingerprint(text or path).encode() + b"\n")
            _write(pipe, msgspec.json.encode(load(path, environ, cache_dir, text)))
    except BaseException:  # top level of this process
        traceback.print_exc()
    finally:
        os._exit(0)


def _write(pipe: int, said: bytes) -> None:
    rest = memoryview(said)
    while rest:
        rest = rest[os.write(pipe, rest) :]


def _received(pipe: int) -> FirstReading:
    said, limit_s = bytearray(), float(LIMIT_S)
    deadline = time.monotonic() + limit_s
    while True:
        left_s = max(0.0, deadline - time.monotonic())
        if not select.select([pipe], [], [], left_s)[0]:
            return _unread(f"no answer within {limit_s:g} s")
        piece = os.read(pipe, 1024**2)
        if not piece:
            break
        if b"\n" not in said and b"\n" in piece:
            limit_s = READ_LIMIT_S
            deadline = time.monotonic() + limit_s
        said += piece
    found, _, outcome = said.partition(b"\n")
    try:
        with gc_paused():
            return FirstReading(msgspec.json.decode(outcome, type=Loaded), found.decode())
    except (msgspec.MsgspecError, UnicodeError):
        return _unread("the process that read it died")


def _unread(why: str) -> FirstReading:
    why = f"cannot be read: {why}"
    return FirstReading(Loaded(None, (Problem(1, 1, "", why),), "", ""), why)


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 1.0
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
            time.sleep(0.001)
