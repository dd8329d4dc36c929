"""Channels for tests: the values that jobs.yaml would be read to."""

from supervisor.core.model import Channel, Notify, Severity


def notify_slack(url: str | None, min_severity: Severity = Severity.ERROR) -> Notify:
    """Return the value of `notify: {slack: URL}`; None: there is no channel."""
    if url is None:
        return Notify()
    return Notify(Channel("slack", "slack", url, min_severity=min_severity))
