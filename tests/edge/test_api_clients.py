"""Slow, silent, huge or many clients: they affect no other client."""

import json
import os
import socket
import threading
from http.client import HTTPResponse

import pytest

from supervisor.api import ApiServer
from supervisor.api.limits import ClientLimits
from supervisor.core import control_requests
from supervisor.core.config_model import Api as Access
from supervisor.core.config_model import Job
from supervisor.core.model import Run, State, Trigger
from tests.edge.fixtures_api import AT, ask, connect, made_bridge, read_all, stream
from tests.waiting import until

# The limits of the service, with shorter times.
LIMITS = ClientLimits(request_s=0.5, stalled_s=0.5, ping_s=0.1)
GET_STATUS = b"GET /v1/status HTTP/1.1\r\nHost: nightshift\r\n\r\n"


@pytest.fixture
def limits():
    return LIMITS


def is_closed_by_server(client):
    """Return whether the server has closed the connection; discards received data."""
    client.setblocking(False)
    try:
        while client.recv(1 << 20):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def test_the_limits_of_the_service_are_those_of_the_contract():
    limits = ClientLimits()

    assert (limits.request_s, limits.clients, limits.body_bytes) == (5.0, 64, 65536)


def test_a_silent_client_is_disconnected(path):
    with connect(path) as silent:
        assert read_all(silent) == b""


def test_a_client_that_never_ends_its_request_is_disconnected(path):
    with connect(path) as slow:
        slow.sendall(b"POST /v1/run-all HTTP/1.1\r\nHost:\r\nContent-Length: 100\r\n\r\n{")

        said = read_all(slow)

    assert said.startswith(b"HTTP/1.1 408 ")
    assert b'"error":"no complete request within 0.5 s"' in said


@pytest.mark.parametrize("begun", [b"G", b"GET / HTTP/1.1\r\nHost:", GET_STATUS + b"GET /"])
def test_a_request_begun_and_not_ended_is_answered(path, begun):
    with connect(path) as slow:
        slow.sendall(begun)

        assert b"HTTP/1.1 408 " in read_all(slow)


def test_a_client_that_is_idle_between_requests_gets_no_unasked_answer(path):
    with connect(path) as idle:
        idle.sendall(GET_STATUS)

        assert b" 408 " not in read_all(idle)


def test_a_client_that_sends_its_request_slowly_is_disconnected(path):
    with connect(path) as slow:
        slow.sendall(b"GET /v1/status HTTP/1.1\r\n")

        def drip():
            try:
                slow.send(b"X-Drop: 1\r\n")
            except OSError:
                return True
            return False

        until(drip, within_s=5)


def test_a_kept_connection_has_the_full_time_for_each_request(path):
    with connect(path) as regular:
        for _ in range(3):
            regular.sendall(GET_STATUS)
            answer = HTTPResponse(regular)
            answer.begin()
            assert (answer.status, b'"jobs":' in answer.read()) == (200, True)

        until(lambda: is_closed_by_server(regular))


def test_requests_that_were_sent_together_are_all_answered(path):
    with connect(path) as hasty:
        hasty.sendall(GET_STATUS * 3)

        assert read_all(hasty).count(b"HTTP/1.1 200") == 3


def test_a_client_with_a_huge_body_is_disconnected(path):
    with connect(path) as huge:
        huge.sendall(b"POST /v1/run-all HTTP/1.1\r\nHost:\r\nContent-Length: 9999999\r\n\r\n")
        with pytest.raises(OSError):  # noqa: PT012 - whichever write finds it closed
            for _ in range(1000):
                huge.sendall(bytes(65536))


def test_a_body_in_many_small_pieces_is_limited_too(path):
    with connect(path) as sly:
        sly.sendall(b"POST /v1/run-all HTTP/1.1\r\nHost:\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(OSError):  # noqa: PT012 - whichever write finds it closed
            for _ in range(100_000):
                sly.sendall(b"a\r\n0123456789\r\n")


def test_many_silent_clients_shut_out_no_other(path):
    crowd = [connect(path) for _ in range(3 * LIMITS.clients)]

    assert ask(path, "/v1/status")[0] == 200

    for client in crowd:
        client.close()


def test_for_one_too_many_the_oldest_without_a_whole_request_goes(folder, bridge):
    api = ApiServer(folder / "s", Access(), bridge, folder, ClientLimits(clients=4))
    api.start()
    reading, _, events = stream(folder / "s", "/v1/events")
    next(events)
    first, second = connect(folder / "s"), connect(folder / "s")
    busy = threading.Thread(target=ask, args=(folder / "s", "/v1/jobs/sync/run", "POST"))
    busy.start()
    calls = []
    until(lambda: calls.extend(bridge.take_requests()) or calls)

    assert ask(folder / "s", "/healthz")[0] in (200, 503)

    until(lambda: is_closed_by_server(first))
    assert not is_closed_by_server(second)
    assert not is_closed_by_server(reading)
    calls[0].answer.set_result(
        control_requests.Reply(1, control_requests.ReplyStatus.CONFLICT, error="no")
    )
    busy.join()
    for client in (reading, first, second):
        client.close()
    api.close()


def test_streams_are_at_most_half_of_all_connections(path):
    streams = [stream(path, "/v1/events") for _ in range(LIMITS.streams)]
    for _, _, events in streams:
        next(events)

    status, answer = ask(path, "/v1/events")

    assert (status, b"32 streams are open" in answer) == (503, True)
    assert ask(path, "/v1/status")[0] == 200
    streams[0][0].shutdown(socket.SHUT_RDWR)
    until(lambda: opens(path))
    for client, _, _ in streams:
        client.close()


def test_a_head_of_a_stream_is_its_headers_and_opens_none(path):
    asked = b"HEAD /v1/events HTTP/1.1\r\nHost: nightshift\r\n\r\n" * (LIMITS.streams + 1)
    with connect(path) as client:
        client.sendall(asked + GET_STATUS)

        answers = read_all(client)

    assert answers.count(b"text/event-stream") == LIMITS.streams + 1
    assert answers.count(b"HTTP/1.1 200") == LIMITS.streams + 2


def opens(path):
    client, status, _ = stream(path, "/v1/events")
    client.close()
    return status == 200


def test_a_client_that_does_not_read_its_answer_is_cut_off(folder):
    jobs = [Job(f"job-{number}", number, shell="x") for number in range(3000)]
    api = ApiServer(
        folder / "s", Access(), made_bridge(*jobs), folder, ClientLimits(stalled_s=0.2)
    )
    api.start()
    with connect(folder / "s") as deaf:
        deaf.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: nightshift\r\n\r\n")
        until(lambda: gone(deaf))
    api.close()


def test_a_reader_of_events_that_does_not_read_is_cut_off_and_nobody_else(path, bridge):
    deaf, _, pieces = stream(path, "/v1/events")
    next(pieces)
    long = Run(4, "sync", AT.wall, Trigger.MANUAL, State.PENDING, cause="x" * 1000)

    def floods():
        bridge.publish_changes([long] * 500)
        return gone(deaf)

    until(floods)
    assert ask(path, "/v1/status")[0] == 200
    deaf.close()


def gone(client):
    """Return whether a write finds the connection closed; nothing is read."""
    try:
        client.send(GET_STATUS, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


def test_garbage_is_answered_and_changes_nothing(path):
    with connect(path) as client:
        client.sendall(os.urandom(4096) + b"\r\n\r\n")
        read_all(client)

    assert ask(path, "/v1/status")[0] == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET /v1/days?days=\xd9\xa3 HTTP/1.1\r\nHost:\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost:\r\nHost: x\r\n\r\n",
        b"POST /v1/run-all HTTP/1.1\r\nHost:\r\nContent-Length: \xb2\r\n\r\n{}",
        b"POST /v1/run-all HTTP/1.1\r\nHost:\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /v1/run-all HTTP/1.1\r\nHost:\r\nTransfer-Encoding: gzip\r\n\r\n{}",
    ],
)
def test_what_is_no_http_gets_an_error_in_the_form_of_all_others(path, sent):
    with connect(path) as client:
        client.sendall(sent)
        head, _, body = read_all(client).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json" in head.lower()
    assert json.loads(body) == {"error": "the request is not valid HTTP/1.1", "hint": ""}


def test_bytes_after_a_request_that_ends_the_connection_are_not_written_to_the_log(path, capfd):
    with connect(path) as client:
        client.sendall(b"GET /x HTTP/1.0\r\n\r\n\x00\x01\r\n\r\n")
        said = read_all(client)

    assert said.startswith(b"HTTP/1.1 404 ")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (b"/nowhere HTTP/1.0", "GET /nowhere is no route"),
        (b"/" + b"a" * 60_000 + b" HTTP/1.0", "GET /" + "a" * 199 + " is no route"),
        (b"/v1/jobs/" + b"a" * 60_000 + b" HTTP/1.0", f'no job is called "{"a" * 200}"'),
    ],
    ids=["no host", "a long path", "a long name"],
)
def test_an_error_repeats_a_bounded_part_of_the_path_that_was_asked_for(path, wanted, said):
    with connect(path) as client:
        client.sendall(b"GET " + wanted + b"\r\n\r\n")
        _, _, body = read_all(client).partition(b"\r\n\r\n")

    assert json.loads(body)["error"] == said


def test_what_clients_do_wrong_is_not_written_to_the_log(path, capfd):
    ask(path, "/v1/status", headers="Connection: Upgrade\r\nUpgrade: websocket\r\n")
    with connect(path) as client:
        client.sendall(b"NONSENSE\r\n\r\n")
        read_all(client)

    assert capfd.readouterr().err == ""
