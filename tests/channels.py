"""Channels for tests: the values that jobs.yaml would be read to."""

from typing import Any

from supervisor.core.config_model import Channel, Notify, Severity


def channel(name: str, url: str = "http://127.0.0.1/hook", **fields: Any) -> Channel:
    """Return a channel of the kind slack."""
    return Channel(name, "slack", url, **fields)


def notify_slack(url: str | None, min_severity: Severity = Severity.ERROR) -> Notify:
    """Return the value of `notify: {slack: URL}`; None: there is no channel."""
    if url is None:
        return Notify()
    return Notify((channel("slack", url, min_severity=min_severity),))
