"""A web page cannot use a socket that is forwarded to TCP; other programs can."""

import pytest

from supervisor.api.host_names import is_local
from tests.edge.fixtures_api import connect, read_all

HOSTS = {
    "": True, "localhost": True, "LocalHost:8080": True, "localhost.": True, "nightshift": True,
    "127.0.0.1": True, "127.8.9.1:80": True, "[::1]": True, "[::1]:8080": True, "::1": False,
    "[::ffff:127.0.0.1]": True,
    "x": False, "example.org": False, "localhost.example.org": False, "127.0.0.1.nip.io": False,
    "10.0.0.1": False, "0.0.0.0": False, "[::]": False, "0x7f.1": False, "localhost:80:80": False,
    "nightshift@evil.example": False, "[": False, "[::1": False, "[evil.example]": False,
    "127.0.0.1, evil.example": False,
}  # fmt: skip

REFUSED = {
    "a form": "Host: localhost:8080\r\nOrigin: https://evil.example\r\n",
    "a sandboxed page": "Host: localhost:8080\r\nOrigin: null\r\n",
    "a page of another port": "Host: localhost:8080\r\nOrigin: http://localhost:3000\r\n",
    "an origin without a host": "Host: localhost\r\nOrigin: http://\r\n",
    "an empty origin": "Host: localhost\r\nOrigin: \r\n",
    "cross-site": "Host: localhost\r\nSec-Fetch-Site: cross-site\r\n",
    "same-site": "Host: localhost\r\nSec-Fetch-Site: same-site\r\n",
    "a site nobody defined": "Host: localhost\r\nSec-Fetch-Site: other\r\n",
    "a rebound name": "Host: evil.example\r\n",
    "a rebound name that is its own origin": (
        "Host: evil.example\r\nOrigin: http://evil.example\r\nSec-Fetch-Site: same-origin\r\n"
    ),
    "two origins": "Host: localhost\r\nOrigin: http://localhost\r\nOrigin: http://evil.example\r\n",
}
FORMS = {
    "a url-encoded form": "application/x-www-form-urlencoded",
    "a form with files": "multipart/form-data; boundary=x",
    "a text form": "text/plain",
    "a text form in capitals": "Text/Plain;charset=UTF-8",
    "a form beside another type": "application/json, text/plain",
}
ANSWERED = {
    "the command line": "Host: nightshift\r\nContent-Type: application/json\r\n",
    "curl": "Host: localhost\r\nUser-Agent: curl/8.0\r\nAccept: */*\r\n",
    "a loopback address": "Host: 127.0.0.1:8080\r\n",
    "a page of the relay itself": (
        "Host: localhost:8080\r\nOrigin: http://localhost:8080\r\nSec-Fetch-Site: same-origin\r\n"
    ),
    "an address typed by a person": "Host: localhost\r\nSec-Fetch-Site: none\r\n",
    "an empty host": "Host: \r\n",
}


def answer_to(path, method, headers, body=b""):
    """Return the status of the answer to exactly these headers."""
    head = (
        f"{method} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with connect(path) as client:
        client.sendall(head.encode() + body)
        return int(read_all(client).split()[1])


@pytest.mark.parametrize(("host", "local"), HOSTS.items(), ids=list(HOSTS))
def test_only_names_of_this_machine_are_local(host, local):
    assert is_local(host) is local


@pytest.mark.parametrize("method", ["POST /v1/run-all", "GET /v1/status", "GET /nowhere"])
@pytest.mark.parametrize("headers", REFUSED.values(), ids=list(REFUSED))
def test_what_a_foreign_page_sends_is_refused(path, bridge, headers, method):
    assert answer_to(path, method, headers) == 403
    assert not bridge.take_requests()


@pytest.mark.parametrize("kind", FORMS.values(), ids=list(FORMS))
def test_what_a_form_can_send_is_no_request(path, bridge, kind):
    headers = f"Host: localhost\r\nContent-Type: {kind}\r\n"

    assert answer_to(path, "POST /v1/stop", headers, b"drain_seconds=1") == 415
    assert not bridge.take_requests()


@pytest.mark.parametrize("headers", ANSWERED.values(), ids=list(ANSWERED))
def test_programs_are_answered_as_before(path, headers):
    assert answer_to(path, "GET /v1/status", headers) == 200
    assert answer_to(path, "POST /v1/reload", headers, b'{"unknown": 1}') == 422


def test_a_client_of_http_1_0_needs_no_host(path):
    with connect(path) as client:
        client.sendall(b"GET /v1/status HTTP/1.0\r\n\r\n")
        assert b" 200 " in read_all(client).split(b"\r\n")[0]
