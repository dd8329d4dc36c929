"""The service in one line, for those who see no more of it, such as `systemctl status`."""

from supervisor.core.world import Life, World


def summary(world: World) -> str:
    """How much there is, what runs and waits, and what is wrong."""
    parts = [
        f"{len(world.jobs)} jobs",
        f"{len(world.living)} running",
        f"{world.pending()} pending",
    ]
    if world.incidents:
        parts.append(f"{len(world.incidents)} in trouble")
    if world.paused is not None:
        parts.append("paused")
    if world.problems:
        parts.append("jobs.yaml is refused")
    if world.ledger_trouble:
        parts.append("the ledger cannot be written")
    prefix = "" if world.life is Life.SERVING else f"{world.life}: "
    return prefix + ", ".join(parts)
