"""Mail by SMTP: text and the same as small HTML, over TLS.

smtps:// begins with TLS (RFC 8314), smtp:// changes to it by STARTTLS and sends nothing
without it, unless `starttls: false` says so. All mails about an incident are one thread.
"""

import base64
import contextlib
import html
from collections.abc import Iterable, Iterator
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
    return {
        "subject": cut(visible(headline(about.alert), mask), MOST_SUBJECT),
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
            # The mail has arrived: no answer to QUIT may change that, so none is waited for.
            with contextlib.suppress(OSError, smtplib.SMTPException):
                server.putcmd("quit")
    except smtplib.SMTPAuthenticationError as error:
        return _refusal(host, error.smtp_code, error.smtp_error, _words_of_login(to))
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
        if parts.username:
            _log_in(server, unquote(parts.username), _password(to))
    except BaseException:
        server.close()
        raise
    return server


def _password(to: Target) -> str:
    password: str = to.settings.get("password") or unquote(urlsplit(to.url).password or "")
    return password


def _log_in(server: Any, user: str, password: str) -> None:
    """Log in, with a password of any letters if the server takes AUTH PLAIN (RFC 4616)."""
    import smtplib

    if (user + password).isascii():
        server.login(user, password)
        return
    server.ehlo_or_helo_if_needed()
    if "PLAIN" not in server.esmtp_features.get("auth", "").upper().split():
        raise smtplib.SMTPNotSupportedError("without AUTH PLAIN a password has to be ASCII")
    code, said = server.docmd("AUTH", f"PLAIN {_base64(f'{chr(0)}{user}{chr(0)}{password}')}")
    if code not in (235, 503):
        raise smtplib.SMTPAuthenticationError(code, said)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode(errors="surrogateescape")).decode()


def _mail(to: Target, body: Message) -> Any:
    from email.message import EmailMessage
    from email.utils import formatdate, make_msgid

    mail = EmailMessage()
    mail["Subject"] = _one_line(body["subject"])
    mail["From"] = to.settings["from"]
    mail["To"] = ", ".join(to.settings["to"])
    mail["Date"] = formatdate(localtime=True)
    mail["Auto-Submitted"] = "auto-generated"
    domain = to.settings["from"].rpartition("@")[2]
    mail["Message-ID"] = f"<{body['id']}@{domain}>" if body["id"] else make_msgid(domain=domain)
    if body["thread"]:
        mail["References"] = f"<{body['thread']}@{domain}>"
    text = _sendable(body["text"])
    # Not as 8-bit text: a server need not take it (RFC 6152).
    mail.set_content(text + "\n", cte="quoted-printable")
    shown = f"<html><body><pre>{html.escape(text)}</pre></body></html>\n"
    mail.add_alternative(shown, subtype="html", cte="quoted-printable")
    return mail


def _one_line(text: str) -> str:
    """Return the text as one line that no reader of headers decodes.

    Python's `email` decodes an encoded word (RFC 2047) in a text, with the line ends in it.
    """
    return " ".join(text.split()).replace("=?", "= ?")


def _sendable(text: str) -> str:
    return text.encode(errors="replace").decode()


def _refusal(host: str, code: int, said: bytes | str, hidden: Iterable[str] = ()) -> CallResult:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    for word in hidden:
        text = text.replace(word, "***")
    cause = f"{host} answered {code}: {' '.join(text.split())[:MOST_CAUSE]}"
    return CallResult(False, cause, refused=code >= 500)


def _words_of_login(to: Target) -> Iterator[str]:
    """Yield what a login sends, longest first: a server may repeat it.

    The supervisor masks the password, but does not know its base64.
    """
    user, password = unquote(urlsplit(to.url).username or ""), _password(to)
    for word in filter(None, (f"\0{user}\0{password}", password)):
        yield _base64(word).rstrip("=")


KIND = ChannelKind(message, test_message, send)
