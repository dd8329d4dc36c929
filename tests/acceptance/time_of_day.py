"""The time of day in Python: the real one, plus an offset stored in a file beside this one.

`clock.py` puts a copy of this file as `sitecustomize.py` on $PYTHONPATH, so that each Python
runs it before anything else. The file `offset` holds the nanoseconds to add, in eight bytes
that are changed by one store for all processes at once: a reading is before or after the
change, and no thread can see a mixture. All functions of `time` and `datetime` that give the
time of day are moved. The monotonic clock, file times and other programs are not.
"""

import ctypes
import gc
import mmap
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from typing import Any


def moved_by(path: str) -> Callable[[], int]:
    """Return a clock: nanoseconds since the epoch, plus the offset in the file."""
    with open(path, "rb") as file:
        offset = memoryview(mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)).cast("q")
    real_ns = time.time_ns
    return lambda: real_ns() + offset[0]


def go_by(now_ns: Callable[[], int]) -> None:
    """Make `time` and `datetime` of this process use this clock."""
    _replace_in_time(now_ns)
    _replace_in_datetime()


def _replace_in_time(now_ns: Callable[[], int]) -> None:
    clock_gettime, clock_gettime_ns = time.clock_gettime, time.clock_gettime_ns
    asctime, strftime = time.asctime, time.strftime

    def of_seconds(convert: Callable[[float], Any]) -> Callable[[float | None], Any]:
        return lambda seconds=None: convert(time.time() if seconds is None else seconds)

    time.time_ns = now_ns
    time.time = lambda: now_ns() / 1e9
    time.clock_gettime_ns = lambda clock: (
        now_ns() if clock == time.CLOCK_REALTIME else clock_gettime_ns(clock)
    )
    time.clock_gettime = lambda clock: (
        time.time() if clock == time.CLOCK_REALTIME else clock_gettime(clock)
    )
    time.gmtime, time.localtime = of_seconds(time.gmtime), of_seconds(time.localtime)
    time.ctime = of_seconds(time.ctime)
    time.asctime = lambda moment=None: asctime(moment or time.localtime())
    time.strftime = lambda form, moment=None: strftime(form, moment or time.localtime())


def _replace_in_datetime() -> None:
    """Patch the class itself: code written in C does not see a subclass put in its place."""

    def now(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
        return cls.fromtimestamp(time.time(), tz)

    def utcnow(cls: type[datetime]) -> datetime:
        return cls.fromtimestamp(time.time(), UTC).replace(tzinfo=None)

    methods = gc.get_referents(datetime.__dict__)[0]
    methods |= {"now": classmethod(now), "utcnow": classmethod(utcnow)}
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))


if __name__ == "sitecustomize":
    go_by(moved_by(os.path.join(os.path.dirname(__file__), "offset")))
