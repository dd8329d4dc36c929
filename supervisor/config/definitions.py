"""Makes the views of job definitions, with secrets masked, and jobs of such views."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from supervisor.containment import launch_spec
from supervisor.core.config_model import Job, ShellUse
from supervisor.core.model import Run, State, Trigger
from supervisor.core.views import Definition
from supervisor.redaction.secrets import secrets_among
from workers.text import readable

_OF_EACH_RUN = tuple(f"NIGHTSHIFT_{name}" for name in ("RUN", "SLOT", "TRIGGER", "ATTEMPT"))


def definition_of(definition: Job, mask: Callable[[str], str]) -> Definition:
    """Return a job as its definition in jobs.yaml, with secrets masked."""
    shown = Definition(
        name=definition.name,
        worker=definition.worker,
        command=definition.shell if definition.argv is None else definition.argv,
        shell_use=None if definition.shell is None else definition.shell_use,
        cron=definition.cron,
        timezone=definition.timezone,
        deps=definition.deps,
        timeout_seconds=definition.timeout_s,
        kill_grace_seconds=definition.kill_grace_s,
        retries=definition.retries,
        retry_delay_seconds=definition.retry_delay_s,
        retry_backoff=definition.retry_backoff,
        retry_max_delay_seconds=definition.retry_max_delay_s,
        success_exit_status=definition.success_exit_status,
        exclusive=definition.exclusive,
        overlap=definition.overlap,
        catch_up=definition.catch_up,
        catch_up_window_seconds=definition.catch_up_window_s,
        run_on_startup=definition.run_on_startup,
        enabled=definition.enabled,
        with_=msgspec.json.decode(definition.params_json),
        env=dict(definition.env),
        inherit_env=definition.inherit_env,
        cwd=definition.cwd,
        nice=definition.nice,
        limits=definition.limits,
        python=definition.python,
        late_after_seconds=definition.late_after_s,
        heartbeat=definition.heartbeat,
        runs_on=definition.runs_on,
        if_lost=definition.if_lost,
        description=definition.description,
        docs=definition.docs,
    )
    return msgspec.convert(_masked(msgspec.to_builtins(shown), mask), Definition)


def job_from(shown: Definition, place: int) -> Job:
    """Return the job that a definition describes; masked texts stay masked.

    Raises:
        msgspec.ValidationError: another version with other values wrote the definition.
    """
    fields: dict[str, Any] = msgspec.to_builtins(shown)
    fields |= {f"{key.removesuffix('_seconds')}_s": fields[key] for key in fields if "_sec" in key}
    fields |= {
        "place": place,
        "shell": shown.command if isinstance(shown.command, str) else None,
        "shell_use": shown.shell_use or ShellUse.AUTO.value,
        "argv": None if isinstance(shown.command, str) else shown.command,
        "params_json": msgspec.json.encode(shown.with_).decode(),
        "env": tuple(shown.env.items()),
    }
    return msgspec.convert(fields, Job)


def environment(
    definition: Job, mask: Callable[[str], str], inherited: Mapping[str, str], folder: Path
) -> dict[str, str]:
    """Return the environment of the job's processes, with secrets masked.

    inherited: the supervisor's own environment. folder: its state folder.
    """
    some = Run(0, definition.name, datetime.now(UTC), Trigger.MANUAL, State.PENDING)
    own = launch_spec.environment(some, definition, {"TMPDIR": str(folder / "tmp")})
    inherited = {readable(name): readable(value) for name, value in inherited.items()}
    found = {**inherited, **own} if definition.inherit_env else own
    del found["NIGHTSHIFT_INSTANCE"]
    found |= dict.fromkeys(_OF_EACH_RUN, "(of each run)")
    masked: dict[str, str] = _masked(found, mask)
    return masked


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list | tuple):
        return [_masked(item, mask) for item in value]
    if isinstance(value, dict):
        return {key: _masked_under(key, item, mask) for key, item in value.items()}
    return value


def _masked_under(name: str, value: Any, mask: Callable[[str], str]) -> Any:
    # Only the name decides here, so any text serves as the value.
    if isinstance(value, str) and value and secrets_among([(name, "a text")]):
        return "***"
    return _masked(value, mask)
