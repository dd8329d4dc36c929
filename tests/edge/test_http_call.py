"""A single HTTP call, with a real server and every kind of misbehaviour."""

import base64

import pytest

from supervisor.notifications.channel_kind import CallResult
from supervisor.notifications.child import http_call
from supervisor.notifications.child.http_call import call
from tests.webhook import Webhook, nobody
from workers.http_session import Session


@pytest.fixture
def hook():
    with Webhook() as server:
        yield server


def post(url):
    with Session() as session:
        return call(session, "POST", url, b"{}", {"Content-Type": "application/json"})


@pytest.mark.parametrize("status", [200, 201, 204])
def test_every_two_hundred_is_an_arrival(hook, status):
    hook.answers(status)

    assert post(hook.url).ok


def test_a_server_that_says_no_with_a_success_has_not_taken_it(hook):
    hook.answers(200, body=b'{"ok": false, "error": "channel_not_found"}')

    answer = post(hook.url)

    assert not answer.ok
    assert answer.cause == (
        '127.0.0.1 answered 200: {"ok": false, "error": "channel_not_found"}'
    )  # fmt: skip


@pytest.mark.parametrize("body", [b'{"ok": true}', b"", b"ok", b"[1]", b"x" * 10**6])
def test_any_other_success_is_an_arrival(hook, body):
    hook.answers(200, body=body)

    assert post(hook.url).ok


@pytest.fixture
def netrc(tmp_path, monkeypatch):
    """Write a .netrc that names a password for every host."""
    file = tmp_path / "netrc"
    file.write_text("default login joe password hunter2222\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))


def test_no_password_of_netrc_is_sent_or_replaces_a_key(hook, netrc):
    with Session() as session:
        call(session, "POST", hook.url, b"{}", {"Authorization": "GenieKey k"})
        call(session, "POST", hook.url, b"{}", {})
        call(session, "GET", hook.url, None, {})

    sent = [each.headers.get("Authorization") for each in hook.calls]
    assert sent == ["GenieKey k", None, None]


def test_a_password_in_a_url_may_have_any_letters(hook):
    with Session() as session:
        url = hook.url.replace("http://", "http://user:gr%C3%B6%C3%9Fe-%F0%9F%94%91@")
        assert call(session, "POST", url, b"{}", {}).ok

    sent = hook.calls[0].headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent) == "user:größe-🔑".encode()


def test_a_redirected_heartbeat_takes_no_password_along(hook, netrc):
    with Webhook() as other:
        elsewhere = other.url.replace("127.0.0.1", "localhost")
        hook.answers(302, {"Location": elsewhere})
        with Session() as session:
            url = hook.url.replace("http://", "http://user:geheim99@")
            assert call(session, "GET", url, None, {}).ok

        assert hook.calls[0].headers["Authorization"].startswith("Basic ")
        assert "Authorization" not in other.calls[0].headers


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        *((status, False) for status in (500, 502, 503, 408, 429)),
        *((status, True) for status in (400, 403, 404, 410)),
    ],
)
def test_a_server_error_is_not_a_refusal(hook, status, refused):
    hook.answers(status, body=b"no_service")

    answer = post(hook.url)

    assert (answer.ok, answer.refused) == (False, refused)
    assert answer.cause == f"127.0.0.1 answered {status}: no_service"


def test_an_answer_without_a_body_is_named_by_its_reason(hook):
    hook.answers(500)

    assert post(hook.url).cause == "127.0.0.1 answered 500 Internal Server Error"


def test_retry_after_is_read(hook):
    hook.answers(429, {"Retry-After": "7"})

    assert post(hook.url).retry_after_s == 7


@pytest.mark.parametrize(
    "text", ["-5", "1e9", "9" * 5000, "Mon, 01 Jan 99999999999 00:00:00 GMT", "\xb2"]
)
def test_a_wait_that_cannot_be_read_is_none(hook, text):
    hook.answers(429, {"Retry-After": text})

    assert post(hook.url) == CallResult(False, "127.0.0.1 answered 429 Too Many Requests")


def test_a_redirect_is_not_followed_and_no_arrival(hook):
    hook.answers(302, {"Location": "http://127.0.0.1:9/elsewhere"})

    answer = post(hook.url)

    assert (answer.ok, answer.refused) == (False, True)
    assert answer.cause == "127.0.0.1 answered 302: it has moved"
    assert len(hook.calls) == 1


@pytest.mark.parametrize("raw", [b"", b"\x00\xff garbage\r\n\r\n", b"220 smtp.example ESMTP\r\n"])
def test_garbage_is_no_arrival(hook, raw):
    hook.reacts(raw=raw)

    answer = post(hook.url)

    assert not answer.ok
    assert answer.cause.startswith("call 127.0.0.1: ")


def test_a_refused_connection_is_reported_in_the_words_of_the_system():
    assert post(nobody()).cause == "call 127.0.0.1: Connection refused"


def test_a_host_without_a_name_is_no_traceback():
    answer = post("http://no-such-host.invalid/services/T0/B0/sesame")

    assert answer.cause.startswith("call no-such-host.invalid: ")


@pytest.mark.parametrize("url", ["http://[::1", "http://", "ftp://host/x", "http://a b/"])
def test_a_url_that_cannot_be_called_is_no_traceback(url):
    answer = post(url)

    assert not answer.ok


def test_silence_ends_at_its_limit(hook, monkeypatch):
    monkeypatch.setattr(http_call, "READ_S", 0.3)
    hook.reacts(swallows=True)

    assert post(hook.url).cause == "no answer from 127.0.0.1 within 0 s"


def test_no_cause_holds_the_url(hook):
    for reaction in ({"status": 500}, {"raw": b""}, {"status": 302}, {"status": 404}):
        hook.reacts(**reaction)
    urls = [*[hook.url] * 4, nobody(), nobody().replace("http", "ftp")]

    causes = [post(url).cause for url in urls]

    assert [cause for cause in causes if "sesame" in cause or "services" in cause] == []
    assert all(causes)


def test_a_huge_answer_is_quoted_in_short(hook):
    hook.answers(500, body=b"<html>\n" + b"x" * 10**7)

    assert len(post(hook.url).cause) < 300
