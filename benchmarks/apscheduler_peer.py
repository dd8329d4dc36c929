"""APScheduler with one forked process per job: the peer of row (d) of burst.py.

    python benchmarks/apscheduler_peer.py JOBS CONCURRENT

Prints the seconds from the time at which JOBS Python functions are due to the last result.
APScheduler's own process pool reuses processes between jobs. To get one process per job,
each thread of its thread pool forks one, as a user would write it.
"""

import logging
import multiprocessing
import sys
import threading
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

LEAD_S = 3.0
LIMIT_S = 60.0
RESULT = {"sum": 3}


def main() -> None:
    """Wait for all results, and print how many seconds after the due time the last one arrived."""
    jobs, concurrent = map(int, sys.argv[1:])
    logging.disable()
    lock, finished, results = threading.Lock(), threading.Event(), list[object]()

    def job() -> None:
        found = forked()
        with lock:
            results.append(found)
            if len(results) == jobs:
                finished.set()

    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(concurrent)},
        job_defaults={"misfire_grace_time": None},
        timezone=UTC,
    )
    due = time.time() + LEAD_S
    for _ in range(jobs):
        scheduler.add_job(job, "date", run_date=datetime.fromtimestamp(due, UTC))
    scheduler.start()
    finished.wait(LIMIT_S)
    took_s = time.time() - due
    if results != [RESULT] * jobs:
        raise SystemExit(f"{len(results)} of {jobs} results")
    print(took_s)
    scheduler.shutdown()


def forked() -> object:
    """Return what the function returns, run in a forked process."""
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=small, args=(theirs,))
    process.start()
    theirs.close()
    found = mine.recv()
    process.join()
    mine.close()
    return found


def small(line: Connection) -> None:
    """Send the result of the same small function as ours through the pipe."""
    line.send(RESULT)


if __name__ == "__main__":
    main()
