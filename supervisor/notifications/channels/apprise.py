"""Any service that apprise knows, by its URL: https://github.com/caronc/apprise/wiki

Apprise says only whether a message was accepted; the cause is what it logs.
"""

import io
import logging

from supervisor.core.config_model import Severity
from supervisor.core.incidents import AlertKind
from supervisor.notifications.alert_text import (
    AlertContext,
    Mask,
    cut,
    lines,
    sign,
    test_line,
    title,
    visible,
)
from supervisor.notifications.call_result import CallResult
from supervisor.notifications.channel_kind import ChannelKind, Message, Post, Target

MOST_TITLE, MOST_BODY, MOST_CAUSE = 250, 8000, 300
_TYPES = {
    Severity.CRITICAL: "failure",
    Severity.ERROR: "failure",
    Severity.WARNING: "warning",
    Severity.INFO: "info",
}


def message(about: AlertContext, mask: Mask) -> Message:
    """Return title, body and type of a notification."""
    alert = about.alert
    is_over = alert.word == AlertKind.RECOVERED
    return {
        "title": cut(visible(f"{sign(alert)} {title(alert)}", mask), MOST_TITLE),
        "body": lines(about, mask, MOST_BODY),
        "notify_type": "success" if is_over else _TYPES[alert.severity],
    }


def test_message(host: str) -> Message:
    """Return a notification of the type info."""
    return {"title": "nightshift", "body": test_line(host), "notify_type": "info"}


def send(to: Target, body: Message, post: Post) -> CallResult:
    """Send a notification, unless apprise is not installed or does not know the URL."""
    # Imported late: it is an extra, takes a tenth of a second, and only the child needs it.
    try:
        import apprise
    except ImportError:
        return CallResult(False, "apprise is not installed: the extra notify has it", refused=True)
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setLevel(logging.WARNING)
    log = logging.getLogger("apprise")
    log.addHandler(handler)
    log.propagate = False  # its lines name the service, and standard error is no place for that
    # A POST that is redirected becomes a GET without the text, and its answer a success.
    service = apprise.Apprise(asset=apprise.AppriseAsset(http_redirects=False))
    if not service.add(to.url):
        return CallResult(False, "apprise does not know its URL", refused=True)
    is_sent = service.notify(**body, body_format=apprise.NotifyFormat.TEXT)
    if is_sent:
        return CallResult(True)
    cause = " ".join(said.getvalue().split())
    return CallResult(False, f"apprise: {cause[-MOST_CAUSE:] or 'not accepted'}")


KIND = ChannelKind(message, test_message, send)
