"""What Python says of the time of day: the real one, moved by what stands in a file beside.

`clock.py` puts a copy of this file as `sitecustomize.py` on $PYTHONPATH, so that each Python
runs it before anything else. The file `offset` holds the nanoseconds to be added, eight bytes
that one store changes for all processes at once: a reading is of before or of after, and no
thread can meet anything between. Everything of `time` and `datetime` that tells the time of
day is moved; the monotonic clock, files' times and what is not Python go by the real one.
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
    """A clock: nanoseconds since the epoch, with what the file says added."""
    with open(path, "rb") as file:
        offset = memoryview(mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)).cast("q")
    real_ns = time.time_ns
    return lambda: real_ns() + offset[0]


def go_by(now_ns: Callable[[], int]) -> None:
    """From here on `time` and `datetime` of this process tell of this clock."""
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
    """In the class itself: another one in its place would be none to what is written in C."""

    def now(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
        return cls.fromtimestamp(time.time(), tz)

    def utcnow(cls: type[datetime]) -> datetime:
        return cls.fromtimestamp(time.time(), UTC).replace(tzinfo=None)

    methods = gc.get_referents(datetime.__dict__)[0]
    methods |= {"now": classmethod(now), "utcnow": classmethod(utcnow)}
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))


if __name__ == "sitecustomize":
    go_by(moved_by(os.path.join(os.path.dirname(__file__), "offset")))
