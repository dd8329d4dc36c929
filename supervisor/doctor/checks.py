"""The table of all checks, in the order in which they are read."""

from typing import Any

from supervisor.doctor import data, folders, machine, outside, service, times
from supervisor.doctor.finding import Check

CHECKS: tuple[Check[Any], ...] = (
    Check("jobs.yaml", service.file, service.judge_file),
    Check("mount", folders.mount, folders.judge_mount),
    Check("supervisor", service.answers, service.judge_answers),
    Check("user", folders.user, folders.judge_user),
    Check("state", folders.state, folders.judge_places),
    Check("backups", folders.backups, folders.judge_places),
    Check("disk", folders.disks, folders.judge_disks),
    Check("databases", data.sources, data.judge_sources),
    Check("copies", data.copies, data.judge_copies),
    Check("timeouts", times.usual, times.judge_usual),
    Check("zones", times.zones, times.judge_zones),
    Check("daylight", times.daylight, times.judge_daylight),
    Check("postgres", outside.servers, outside.judge_servers),
    Check("webhooks", outside.doors, outside.judge_doors),
    Check("clock", machine.clock, machine.judge_clock),
    Check("processes", service.init, service.judge_init),
    Check("stop", service.stop, service.judge_stop),
    Check("root", machine.root, machine.judge_root),
    Check("kernel", machine.kernel, machine.judge_kernel),
    Check("python", machine.python, machine.judge_python),
    Check("descriptors", machine.descriptors, machine.judge_descriptors),
)
