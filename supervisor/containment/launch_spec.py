"""Encodes a launch as one packet for a keeper, from a run and its job.

Pure. An order is a JSON object:

  run, attempt, cwd, nice, limits    always; limits: (key of jobs.yaml, value) pairs
  env, bare                          differences from the keeper's own environment;
                                     bare: nothing is inherited from the keeper
  argv                               a command
  words                              instead of it, where that is the same: see `spawn.py`; or
  worker, params, set, slot,         a Python function; python: the interpreter,
  timezone, dry_run, python          or null for the keeper's own
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from supervisor.core.assignment_key import AssignmentKey
from supervisor.core.config_model import Job, Limits, ShellUse
from supervisor.core.effects import Launch
from supervisor.core.model import Run, Trigger
from supervisor.core.plain_words import plain_words

PLAIN_PATH = "/usr/local/bin:/usr/bin:/bin"

_NO_LIMITS = Limits()
_encode = msgspec.json.Encoder().encode


def launch_order(launch: Launch, variables: Mapping[str, str]) -> bytes:
    """Return the packet that starts this attempt.

    variables: variables that every run's environment must contain, inherited or not.

    Raises:
        ValueError: a text in the job cannot be encoded.
    """
    run, job = launch.run, launch.job
    packet: dict[str, object] = {
        "run": run.id,
        "attempt": run.attempt,
        "cwd": job.cwd,
        "nice": job.nice,
        "limits": _limits(job.limits),
        "env": environment(run, job, variables),
        "bare": not job.inherit_env,
    }
    if job.worker is not None:
        packet |= {
            "worker": job.worker,
            "params": job.params_json,
            "set": run.set_json,
            "slot": instant(run.slot or run.due),
            "timezone": job.timezone,
            "dry_run": run.dry_run,
            "python": job.python,
        }
    elif job.shell is None:
        packet["argv"] = job.argv
    else:
        packet["argv"] = ("/bin/sh", "-c", job.shell)
        if job.shell_use is ShellUse.AUTO and (words := plain_words(job.shell)):
            packet["words"] = words
    try:
        return _encode(packet)
    except (UnicodeError, msgspec.MsgspecError, TypeError) as error:
        raise ValueError(f"its definition cannot be handed to a process: {error}") from error


def environment(run: Run, job: Job, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a run beyond those it inherits."""
    plain = {} if job.inherit_env else {"PATH": PLAIN_PATH}
    return {
        **plain,
        "PWD": job.cwd,  # the inherited one names the supervisor's folder
        **variables,
        **dict(job.env),
        "NIGHTSHIFT_JOB": job.name,
        "NIGHTSHIFT_RUN": str(run.id),
        "NIGHTSHIFT_SLOT": instant(run.slot or run.due),
        "NIGHTSHIFT_TRIGGER": run.trigger.value,
        "NIGHTSHIFT_ATTEMPT": str(run.attempt),
        "NIGHTSHIFT_TIMEZONE": job.timezone,
        "NIGHTSHIFT_INSTANCE": variables.get("NIGHTSHIFT_INSTANCE", ""),
        **_of_cluster(run),
    }


def _of_cluster(run: Run) -> dict[str, str]:
    """Return the variables by which an attempt is known in its cluster; {} outside of one."""
    if run.trigger is not Trigger.ASSIGNED:
        return {}
    key = AssignmentKey.parse(run.batch)
    return {
        "NIGHTSHIFT_RUN": str(key.run),
        "NIGHTSHIFT_ATTEMPT": str(key.attempt),
        "NIGHTSHIFT_TRIGGER": key.trigger,
        "NIGHTSHIFT_FENCE": str(key.fence),
    }


@lru_cache(maxsize=256)  # many runs are due at once
def instant(at: datetime) -> str:
    """Return the time as RFC 3339 in UTC, to the second."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def _limits(limits: Limits) -> list[tuple[str, int]]:
    if limits == _NO_LIMITS:
        return []
    given = ((name, getattr(limits, name)) for name in Limits.__struct_fields__)
    return [(name, value) for name, value in given if value is not None]
