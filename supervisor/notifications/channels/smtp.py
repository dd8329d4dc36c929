"""Mail by SMTP: text and the same as small HTML, over TLS.

smtps:// begins with TLS (RFC 8314), smtp:// changes to it by STARTTLS and sends nothing
without it, unless `starttls: false` says so. All mails about an incident are one thread.
"""

import contextlib
import html
from typing import Any
from urllib.parse import unquote, urlsplit

from supervisor.notifications.alert_text import (
    AlertContext,
    Mask,
    cut,
    headline,
    lines,
    test_line,
    visible,
)
from supervisor.notifications.call_result import CallResult
from supervisor.notifications.channel_kind import ChannelKind, Message, Post, Target

TIMEOUT_S = 10.0
MOST_SUBJECT, MOST_TEXT, MOST_CAUSE = 200, 12_000, 200
_PORTS = {"smtps": 465, "smtp": 587}


def message(about: AlertContext, mask: Mask) -> Message:
    """Return subject, text and the names of the mail and of its thread."""
    subject = visible(headline(about.alert), mask).replace("\n", " ")
    return {
        "subject": cut(subject, MOST_SUBJECT),
        "text": lines(about, mask, MOST_TEXT),
        "id": about.message_id,
        "thread": f"{about.service}-incident-{about.alert.incident or 'none'}",
    }


def test_message(host: str) -> Message:
    """Return the parts of a test mail."""
    line = test_line(host)
    return {"subject": line, "text": line, "id": "", "thread": ""}


def send(to: Target, body: Message, post: Post) -> CallResult:
    """Send the mail to all recipients in one transaction."""
    # Imported late: only the child needs it, and the supervisor would keep it in memory.
    import smtplib
    import ssl

    host = urlsplit(to.url).hostname or ""
    try:
        with contextlib.closing(_connection(to)) as server:
            server.send_message(_mail(to, body))
            with contextlib.suppress(OSError, smtplib.SMTPException):
                server.quit()
    except smtplib.SMTPRecipientsRefused as error:
        code, text = next(iter(error.recipients.values()))
        return _refusal(host, code, text)
    except smtplib.SMTPResponseException as error:
        return _refusal(host, error.smtp_code, error.smtp_error)
    except smtplib.SMTPNotSupportedError as error:
        return CallResult(False, f"{host}: {error}", refused=True)
    except ssl.SSLCertVerificationError as error:
        cause = f"{host} shows a certificate that is not trusted: {error.verify_message}"
        return CallResult(False, cause)
    except TimeoutError:
        return CallResult(False, f"no answer from {host} within {TIMEOUT_S:.0f} s")
    except (OSError, smtplib.SMTPException) as error:
        said = getattr(error, "strerror", None) or type(error).__name__
        return CallResult(False, f"call {host}: {said}")
    return CallResult(True)


def _connection(to: Target) -> Any:
    """Return a session with the server, encrypted and logged in as far as it is asked for."""
    import smtplib
    import socket
    import ssl

    parts = urlsplit(to.url)
    address = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    name = socket.gethostname()
    tls = ssl.create_default_context()
    if parts.scheme == "smtps":
        server: Any = smtplib.SMTP_SSL(*address, name, timeout=TIMEOUT_S, context=tls)
    else:
        server = smtplib.SMTP(*address, name, TIMEOUT_S)
    try:
        if parts.scheme == "smtp":
            if to.settings.get("starttls", True):
                server.starttls(context=tls)
            elif parts.username:
                raise smtplib.SMTPNotSupportedError("a password is not sent without TLS")
        password = to.settings.get("password") or unquote(parts.password or "")
        if parts.username:
            server.login(unquote(parts.username), password)
    except BaseException:
        server.close()
        raise
    return server


def _mail(to: Target, body: Message) -> Any:
    from email.message import EmailMessage
    from email.utils import formatdate, make_msgid

    mail = EmailMessage()
    mail["Subject"] = body["subject"]
    mail["From"] = to.settings["from"]
    mail["To"] = ", ".join(to.settings["to"])
    mail["Date"] = formatdate(localtime=True)
    mail["Auto-Submitted"] = "auto-generated"
    domain = to.settings["from"].rpartition("@")[2]
    mail["Message-ID"] = f"<{body['id']}@{domain}>" if body["id"] else make_msgid(domain=domain)
    if body["thread"]:
        mail["References"] = f"<{body['thread']}@{domain}>"
    text = _sendable(body["text"])
    mail.set_content(text + "\n")
    shown = html.escape(text)
    mail.add_alternative(f"<html><body><pre>{shown}</pre></body></html>\n", subtype="html")
    return mail


def _sendable(text: str) -> str:
    return text.encode(errors="replace").decode()


def _refusal(host: str, code: int, said: bytes | str) -> CallResult:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    cause = f"{host} answered {code}: {' '.join(text.split())[:MOST_CAUSE]}"
    return CallResult(False, cause, refused=code >= 500)


KIND = ChannelKind(message, test_message, send)
