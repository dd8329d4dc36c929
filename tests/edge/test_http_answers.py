"""One call whose answer is no HTTP: the cause says so, not that nothing came."""

import socket
import threading

import pytest
import requests

from supervisor.notifications.child.http_call import call

MANY_HEADERS = b"".join(b"H%d: x\r\n" % number for number in range(200))


def called(answer):
    """The result of a call to a server that sends these bytes and closes."""

    def serve():
        client, _ = listener.accept()
        with client:
            received = b""
            while not received.endswith(b"body"):
                received += client.recv(4096)
            client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener, requests.Session() as session:
        server = threading.Thread(target=serve)
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/secret"
        result = call(session, "POST", url, b"body", {})
        server.join()
    return result


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 abc X\r\n\r\n",
        b"HTTP/1.1 500 X\r\n" + MANY_HEADERS + b"\r\n",
        b"HTTP/1.1 500 " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)
def test_an_answer_that_is_no_http_is_named_so(answer):
    assert called(answer).cause == "call 127.0.0.1: its answer is not valid HTTP"


def test_no_answer_is_named_so():
    cause = "call 127.0.0.1: it closed the connection without an answer"

    assert called(b"").cause == cause
