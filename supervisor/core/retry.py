"""Retry policy: whether another attempt is allowed, and after what delay.

Pure: the random number is an argument.
"""

from supervisor.core.config_model import Job
from supervisor.core.model import Reason

# Reasons that allow a retry: an error, a timeout, a kill from outside. A permanent
# error, a cancellation and an interruption use no retry.
RETRIABLE = frozenset(
    {Reason.EXIT, Reason.SIGNAL, Reason.TIMEOUT, Reason.ERROR, Reason.PROTOCOL, Reason.LAUNCH}
)
JITTER = 0.1


def is_allowed(job: Job, reason: Reason, retries_used: int) -> bool:
    """Return whether a run that failed for this reason gets another attempt."""
    return reason in RETRIABLE and retries_used < job.retries


def delay_s(job: Job, retries_used: int, dice: float) -> float:
    """Return the seconds before the retry that follows `retries_used` earlier ones.

    retry_delay x backoff^retries_used, capped at retry_max_delay, +-10 % by
    `dice` in [0, 1). The first retry waits retry_delay.
    """
    try:
        grown = job.retry_delay_s * job.retry_backoff**retries_used
    except OverflowError:  # 2.0 ** 1024 and beyond
        grown = job.retry_max_delay_s
    plain = min(grown, job.retry_max_delay_s)
    return plain * (1 + JITTER * (2 * dice - 1))
