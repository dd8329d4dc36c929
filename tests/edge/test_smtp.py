"""Mail by SMTP to a real local server: TLS, STARTTLS, login, refusals."""

import asyncio
import base64
import json
import socket
import ssl
import subprocess
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from supervisor.core.model import replace
from supervisor.notifications.channels import smtp
from supervisor.redaction.mask import make_mask
from tests.edge.fixtures_alerts import ALERT, HOSTILE, about, send

TO = {"to": ["ops@example.org", "oncall@example.org"], "from": "cron@example.org"}


class Inbox:
    """SMTP handler that keeps accepted mails; refuses with `reply` if it is set."""

    def __init__(self) -> None:
        self.envelopes: list = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.reply = ""
        self.hangs_at_quit = False
        self.refused: set[str] = set()

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        if self.reply:
            return self.reply
        is_encrypted = server.transport.get_extra_info("ssl_object") is not None
        self.envelopes.append((is_encrypted, envelope))
        return "250 OK"

    def login(self, server, session, envelope, mechanism, data):
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"hunter2222", handled=False)

    def repeats(self, server, session, envelope, mechanism, data):
        text = base64.b64encode(b"\0" + data.login + b"\0" + data.password).decode()
        return AuthResult(success=False, handled=False, message=f"535 no: AUTH PLAIN {text}")

    async def handle_QUIT(self, server, session, envelope):  # noqa: N802
        while self.hangs_at_quit and not server.transport.is_closing():
            await asyncio.sleep(0.05)
        return "221 Bye"

    def mails(self):
        return [
            message_from_bytes(envelope.content, policy=policy.default)
            for _, envelope in self.envelopes
        ]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Create a self-signed certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout",
         "key.pem", "-out", "cert.pem", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def trusted(certificate, monkeypatch):
    """Return the TLS context of a server whose certificate this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
def serve(inbox):
    """Start a server with these options and return its port."""
    started = []

    def start(**options) -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = Controller(inbox, hostname="127.0.0.1", port=port, **options)
        server.start()
        started.append(server)
        return port

    yield start
    for server in started:
        server.stop()


def test_a_mail_has_text_and_html_and_goes_to_all(serve, inbox):
    port = serve()
    message = smtp.message(about(output=("no <space> left",)), str)

    answer = send("smtp", f"smtp://127.0.0.1:{port}", message, starttls=False, **TO)

    [mail] = inbox.mails()
    assert answer.ok
    assert inbox.envelopes[0][1].rcpt_tos == TO["to"]
    assert (mail["Subject"], mail["From"]) == (
        "🔴 backup failed: exit status 2", "cron@example.org",
    )  # fmt: skip
    assert mail["Auto-Submitted"] == "auto-generated"
    text, shown = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    assert "Cause: exit status 2" in text
    assert "no <space> left" in text
    assert "no &lt;space&gt; left" in shown


def test_all_mails_about_an_incident_are_one_thread_and_a_retry_is_the_same_mail(serve, inbox):
    port = serve()
    over = replace(ALERT, id=9, word="recovered")
    for alert in (ALERT, ALERT, over):
        message = smtp.message(about(alert), str)
        assert send("smtp", f"smtp://127.0.0.1:{port}", message, starttls=False, **TO).ok

    first, again, last = inbox.mails()

    assert (
        first["Message-ID"]
        == again["Message-ID"]
        == "<nightshift-01-7-20260209T020000Z@example.org>"
    )
    assert last["Message-ID"] != first["Message-ID"]
    assert first["References"] == last["References"]


def test_smtp_changes_to_tls_before_it_sends_anything(serve, inbox, trusted):
    port = serve(tls_context=trusted, require_starttls=True)

    answer = send("smtp", f"smtp://127.0.0.1:{port}", smtp.test_message("box"), **TO)

    assert answer.ok
    assert [is_encrypted for is_encrypted, _ in inbox.envelopes] == [True]


def test_smtps_begins_with_tls(serve, inbox, trusted):
    port = serve(ssl_context=trusted)

    answer = send("smtp", f"smtps://127.0.0.1:{port}", smtp.test_message("box"), **TO)

    assert answer.ok
    assert [is_encrypted for is_encrypted, _ in inbox.envelopes] == [True]


def test_nothing_is_sent_to_a_server_without_tls(serve, inbox):
    port = serve()

    answer = send("smtp", f"smtp://127.0.0.1:{port}", smtp.test_message("box"), **TO)

    assert (answer.ok, answer.refused) == (False, True)
    assert "STARTTLS" in answer.cause
    assert inbox.envelopes == []


def test_nothing_is_sent_to_a_server_with_a_certificate_that_is_not_trusted(
    serve, inbox, certificate
):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    port = serve(tls_context=context)

    answer = send("smtp", f"smtp://127.0.0.1:{port}", smtp.test_message("box"), **TO)

    assert "a certificate that is not trusted" in answer.cause
    assert inbox.envelopes == []


@pytest.mark.parametrize(
    ("user", "password"),
    [("user%40x:hunter2222@", {}), ("user%40x@", {"password": "hunter2222"})],
    ids=["in the URL", "as a key"],
)
def test_a_user_logs_in(serve, inbox, trusted, user, password):
    port = serve(tls_context=trusted, authenticator=inbox.login, auth_required=True)

    url = f"smtp://{user}127.0.0.1:{port}"
    answer = send("smtp", url, smtp.test_message("box"), **TO, **password)

    assert answer.ok
    assert inbox.logins == [(b"user@x", b"hunter2222")]


def test_no_password_is_sent_without_tls(serve, inbox):
    port = serve(authenticator=inbox.login, auth_require_tls=False)

    url = f"smtp://user:hunter2222@127.0.0.1:{port}"
    answer = send("smtp", url, smtp.test_message("box"), starttls=False, **TO)

    assert (answer.refused, answer.cause) == (
        True, "127.0.0.1: a password is not sent without TLS",
    )  # fmt: skip
    assert inbox.logins == []


def test_a_wrong_password_is_refused_and_not_shown(serve, inbox, trusted):
    port = serve(tls_context=trusted, authenticator=inbox.login, auth_required=True)

    url = f"smtp://user:geheim99@127.0.0.1:{port}"
    answer = send("smtp", url, smtp.test_message("box"), **TO)

    assert answer.refused
    assert "127.0.0.1 answered 535" in answer.cause
    assert "geheim" not in answer.cause


@pytest.mark.parametrize(
    ("reply", "refused"),
    [("451 try later", False), ("554 looks like spam", True)],
)
def test_a_temporary_refusal_is_tried_again_soon(serve, inbox, reply, refused):
    inbox.reply = reply
    port = serve()

    message = smtp.test_message("box")
    answer = send("smtp", f"smtp://127.0.0.1:{port}", message, starttls=False, **TO)

    assert (answer.ok, answer.refused) == (False, refused)
    assert answer.cause == f"127.0.0.1 answered {reply[:3]}: {reply[4:]}"


def test_a_mail_that_one_recipient_gets_has_arrived(serve, inbox):
    inbox.refused = {"oncall@example.org"}
    port = serve()

    message = smtp.test_message("box")
    answer = send("smtp", f"smtp://127.0.0.1:{port}", message, starttls=False, **TO)

    assert answer.ok
    assert inbox.envelopes[0][1].rcpt_tos == ["ops@example.org"]


def test_a_mail_that_nobody_gets_has_not(serve, inbox):
    inbox.refused = set(TO["to"])
    port = serve()

    message = smtp.test_message("box")
    answer = send("smtp", f"smtp://127.0.0.1:{port}", message, starttls=False, **TO)

    assert answer.refused
    assert answer.cause == "127.0.0.1 answered 550: no such user"


def test_nobody_there_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    answer = send("smtp", f"smtp://127.0.0.1:{port}", smtp.test_message("box"), **TO)

    assert (answer.ok, answer.refused) == (False, False)
    assert answer.cause == "call 127.0.0.1: Connection refused"


def test_hostile_texts_are_sent_and_add_no_header(serve, inbox):
    hostile = replace(ALERT, cause=f"x\r\nBcc: evil@example.org\n{HOSTILE}")
    port = serve()

    message = smtp.message(about(hostile, output=(HOSTILE,)), str)
    answer = send("smtp", f"smtp://127.0.0.1:{port}", message, starttls=False, **TO)

    [mail] = inbox.mails()
    assert answer.ok
    assert mail["Bcc"] is None
    assert "</pre><b>" not in mail.get_body(("html",)).get_content()


def test_secrets_are_masked():
    reported = about(replace(ALERT, cause="login hunter2222"), output=("hunter2222",))

    assert "hunter" not in json.dumps(smtp.message(reported, make_mask(["hunter2222"])))


@pytest.mark.parametrize(
    "cause",
    [
        *(f"a{end}Bcc: evil@example.org" for end in ("\u2028", "\u2029", "\x85", "\x0b", "\x1c")),
        "=?utf-8?q?a=0D=0ABcc:_evil@example.org?=",
        "=?utf-8?b?YQpCY2M6IGV2aWxAZXhhbXBsZS5vcmc=?= x",
        "=?utf-8?q?=ED=A0=80=00=E2=80=A8?= =?x-unknown?q?=ff?=",
    ],
)
def test_a_subject_of_any_text_is_one_line(serve, inbox, cause):
    port = serve()

    message = smtp.message(about(replace(ALERT, cause=cause)), str)
    answer = send("smtp", f"smtp://127.0.0.1:{port}", message, starttls=False, **TO)

    [mail] = inbox.mails()
    assert answer.ok
    assert mail["Bcc"] is None
    assert len(str(mail["Subject"]).splitlines()) == 1


def test_a_mail_is_ascii_for_servers_that_take_no_other(serve, inbox):
    port = serve()

    message = smtp.message(about(output=("größe 🔴",)), str)
    answer = send("smtp", f"smtp://127.0.0.1:{port}", message, starttls=False, **TO)

    [(_, envelope)] = inbox.envelopes
    assert answer.ok
    assert envelope.content.isascii()
    assert "größe 🔴" in inbox.mails()[0].get_body(("plain",)).get_content()


def test_a_password_may_have_any_letters(serve, inbox, trusted):
    port = serve(tls_context=trusted, authenticator=inbox.login, auth_required=True)

    url = f"smtp://user@127.0.0.1:{port}"
    answer = send("smtp", url, smtp.test_message("box"), password="größe-🔑", **TO)

    assert inbox.logins == [(b"user", "größe-🔑".encode())]
    assert answer.cause.startswith("127.0.0.1 answered 535")


def test_a_login_that_the_server_repeats_is_not_shown(serve, inbox, trusted):
    port = serve(tls_context=trusted, authenticator=inbox.repeats, auth_required=True)
    secret = base64.b64encode(b"\0user\0geheim99").decode()

    url = f"smtp://user:geheim99@127.0.0.1:{port}"
    answer = send("smtp", url, smtp.test_message("box"), **TO)

    assert answer.refused
    assert answer.cause == "127.0.0.1 answered 535: no: AUTH PLAIN ***="
    assert secret not in answer.cause


def test_a_mail_that_was_taken_has_arrived_whatever_follows(serve, inbox, monkeypatch):
    monkeypatch.setattr(smtp, "TIMEOUT_S", 60.0)
    inbox.hangs_at_quit = True
    port = serve()

    message = smtp.test_message("box")
    answer = send("smtp", f"smtp://127.0.0.1:{port}", message, starttls=False, **TO)

    assert answer.ok
    assert len(inbox.envelopes) == 1
