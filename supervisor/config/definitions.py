"""Makes the views of job definitions, with secrets masked, and jobs of such views."""

import re
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

# Fields of a job that its definition shows in another form, or not at all.
_SHOWN_OTHERWISE = frozenset(("place", "argv", "shell", "params_json"))
_SECONDS = re.compile("_s$")
_OF_EACH_RUN = tuple(f"NIGHTSHIFT_{name}" for name in ("RUN", "SLOT", "TRIGGER", "ATTEMPT"))


def definition_of(definition: Job, mask: Callable[[str], str]) -> Definition:
    """Return a job as its definition in jobs.yaml, with secrets masked."""
    fields: dict[str, Any] = {
        _SECONDS.sub("_seconds", name): value
        for name, value in msgspec.structs.asdict(definition).items()
        if name not in _SHOWN_OTHERWISE
    }
    fields |= {
        "command": definition.shell if definition.argv is None else definition.argv,
        "shell_use": None if definition.shell is None else definition.shell_use,
        "with_": msgspec.json.decode(definition.params_json),
        "env": dict(definition.env),
    }
    shown = Definition(**fields)
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
