"""The table of all checks, in the order of the report."""

from typing import Any

from supervisor.doctor import (
    cluster,
    databases,
    filesystem,
    host,
    network,
    places,
    schedules,
    service,
)
from supervisor.doctor.finding import Check

CHECKS: tuple[Check[Any], ...] = (
    Check("jobs.yaml", service.file, service.judge_file),
    Check("mount", filesystem.mount, filesystem.judge_mount),
    Check("supervisor", service.answers, service.judge_answers),
    Check("user", filesystem.user, filesystem.judge_user),
    Check("state", filesystem.state, filesystem.judge_places),
    Check("backups", filesystem.backups, filesystem.judge_places),
    Check("disk", filesystem.disks, filesystem.judge_disks),
    Check("databases", databases.sources, databases.judge_sources),
    Check("copies", databases.copies, databases.judge_copies),
    Check("places", places.rights, places.judge_rights),
    Check("timeouts", schedules.usual, schedules.judge_usual),
    Check("zones", schedules.zones, schedules.judge_zones),
    Check("daylight", schedules.daylight, schedules.judge_daylight),
    Check("postgres", network.servers, network.judge_servers),
    Check("cluster", cluster.member, cluster.judge_member),
    Check("webhooks", network.webhooks, network.judge_webhooks),
    Check("clock", host.clock, host.judge_clock),
    Check("processes", service.init, service.judge_init),
    Check("stop", service.stop, service.judge_stop),
    Check("root", host.root, host.judge_root),
    Check("kernel", host.kernel, host.judge_kernel),
    Check("python", host.python, host.judge_python),
    Check("descriptors", host.descriptors, host.judge_descriptors),
)
