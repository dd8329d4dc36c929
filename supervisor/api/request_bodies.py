"""Types of request bodies; unknown keys are refused."""

from typing import Annotated, Any

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1000 * 366 * 86400)]


SomeSeconds = Annotated[float, msgspec.Meta(gt=0, le=1000 * 366 * 86400)]


class RunBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/jobs/{job}/run`; on_host: the only host of the cluster that may run it."""

    with_deps: bool = False
    set: dict[str, Any] = {}
    dry_run: bool = False
    on_host: Annotated[str, msgspec.Meta(max_length=100)] = ""


class RunAllBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/run-all`."""

    only: tuple[str, ...] = ()


class PauseBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/pause`; for_seconds None: until resumed."""

    for_seconds: SomeSeconds | None = None
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


class ResumeBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/resume`."""

    from_now: bool = False


class AckBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/incidents/{id}/ack`."""

    for_seconds: Seconds
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


class StopBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/stop`."""

    drain_seconds: Seconds | None = None


class NotifyTestBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/notify-test`; channel "": all channels."""

    channel: Annotated[str, msgspec.Meta(max_length=100)] = ""


class ReloadBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/reload`."""

    previous: bool = False


class MembershipBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/membership`: how long this host may run what it was assigned."""

    for_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)]
    grace_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)]


class VerifyBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/verify`; the path of a copy is absolute."""

    file: Annotated[str, msgspec.Meta(pattern="^/")]


class RestoreBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/restore`; paths are absolute: the supervisor has its own working directory."""

    file: Annotated[str, msgspec.Meta(pattern="^/")]
    target: Annotated[str, msgspec.Meta(pattern="^/")]
    force: bool = False
    unproven: bool = False
