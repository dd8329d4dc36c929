"""Partial answers: lines and bytes of a log, days, coming slots, and the requester."""

import json

import pytest

from supervisor.core.changes import AlertChange, PauseChange, ReloadChange
from supervisor.core.control_requests import Reply, ReplyStatus
from supervisor.core.model import Run, State, Trigger
from tests.edge.fixtures_api import AT, ask, ask_json, connect, read_all, stream
from tests.edge.test_api_streams import events
from tests.waiting import until

LINES = b"".join(b"line %d %s\n" % (n, b"Error" if n % 100 == 7 else b"ok") for n in range(5000))


@pytest.fixture
def logged(path, folder, bridge):
    """Return a run with a log, known to the API."""
    (folder / "runs" / "4.log").write_bytes(LINES)
    run = Run(4, "sync", AT.wall, Trigger.MANUAL, State.RUNNING, attempt=1)
    bridge.scheduler = _with(bridge.scheduler, run)
    return path


def _with(scheduler, run):
    scheduler.runs = scheduler.runs.set(run.id, run)
    return scheduler


def part(path, wanted):
    """Return status, Content-Range and body of the log for this Range."""
    request = (
        "GET /v1/runs/4/log HTTP/1.1\r\nHost: nightshift\r\nConnection: close\r\n"
        f"Range: {wanted}\r\n\r\n"
    )
    with connect(path) as client:
        client.sendall(request.encode())
        head, _, body = read_all(client).partition(b"\r\n\r\n")
    names = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:])
    text, rest = b"", body
    while names.get("transfer-encoding") == "chunked" and rest:
        size, _, rest = rest.partition(b"\r\n")
        text, rest = text + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return int(head.split()[1]), names.get("content-range"), text


@pytest.mark.parametrize(
    ("wanted", "first", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=100-", 100, len(LINES)),
        ("bytes=-100", len(LINES) - 100, len(LINES)),
        ("bytes=10-99999999", 10, len(LINES)),
        ("bytes=-99999999", 0, len(LINES)),
        (f"bytes=5-{'9' * 5000}", 5, len(LINES)),
        (f"bytes=-{'9' * 16}", 0, len(LINES)),
        (f"bytes={'0' * 16}7-9", 7, 10),
    ],
)
def test_a_range_of_a_log_is_these_bytes(logged, wanted, first, end):
    status, reported, text = part(logged, wanted)

    assert (status, reported) == (206, f"bytes {first}-{end - 1}/{len(LINES)}")
    assert text == LINES[first:end]


@pytest.mark.parametrize("wanted", ["lines=1-2", "bytes=1-2,5-6", "bytes=9-2", "bytes=-", "x"])
def test_a_range_that_is_not_understood_gives_all(logged, wanted):
    assert part(logged, wanted) == (200, None, LINES)


@pytest.mark.parametrize(
    "wanted", ["bytes=99999999-", "bytes=-0", f"bytes={'9' * 16}-", f"bytes={'9' * 5000}-"]
)
def test_a_range_without_bytes_is_refused(logged, wanted):
    assert part(logged, wanted)[0] == 416


def test_grep_gives_the_lines_with_a_text_in_any_case(logged):
    status, text = ask(logged, "/v1/runs/4/log?grep=eRRor")

    assert status == 200
    assert text.count(b"Error\n") == 50
    assert b"ok" not in text


@pytest.mark.parametrize("query", ["grep=", "grep=x&follow=1", "grep=" + "x" * 201])
def test_a_grep_that_cannot_be_is_refused(logged, query):
    assert ask(logged, f"/v1/runs/4/log?{query}")[0] == 422


def test_days_are_counted_for_every_job(path):
    status, reported = ask_json(path, "/v1/days?days=3")

    assert (status, reported["timezone"]) == (200, "UTC")
    assert [job["job"] for job in reported["jobs"]] == ["sync", "by-hand"]


def test_coming_slots_name_their_job(path):
    status, reported = ask_json(path, "/v1/next?limit=2")

    assert status == 200
    assert [each["job"] for each in reported["slots"]] == ["sync", "sync"]


@pytest.mark.parametrize("what", ["days?days=0", "days?days=367", "next?days=x", "next?n=0"])
def test_absurd_numbers_are_refused(path, what):
    assert ask(path, f"/v1/{what}")[0] == 422


def test_incidents_pauses_reloads_and_alerts_are_events(path, bridge):
    client, _, pieces = stream(path, "/v1/events")
    next(pieces)
    bridge.publish_changes(
        [
            PauseChange("sync", True, None, "uid 0", "disk"),
            ReloadChange(False),
            AlertChange(3, 2, "sync", "exit", "opened", None, 0, ""),
        ]
    )

    found = [found for _, found in zip(range(3), events(pieces), strict=False)]

    assert [each["event"] for each in found] == ["pause", "reload", "alert"]
    assert json.loads(found[0]["data"])["reason"] == "disk"
    client.close()


@pytest.mark.parametrize(
    ("sent", "user"), [("", ""), ("Nightshift-User: J%C3%B6rg\r\n", "Jörg")], ids=["none", "one"]
)
def test_the_person_that_a_client_asks_for_goes_with_the_request(path, bridge, sent, user):
    with connect(path) as client:
        client.sendall(
            b"POST /v1/pause HTTP/1.1\r\nHost: nightshift\r\nContent-Length: 2\r\n"
            + sent.encode()
            + b"\r\n{}"
        )
        taken = []
        until(lambda: taken.extend(bridge.take_requests()) or taken)

        assert taken[0].peer.user == user
        taken[0].answer.set_result(Reply(1, ReplyStatus.OK))
        assert client.recv(1)


@pytest.mark.parametrize("user", ["%0a", "%ff", "x" * 65])
def test_a_name_that_is_none_is_refused(path, user):
    status, reported = ask_json(path, "/v1/pause", "POST", headers=f"Nightshift-User: {user}\r\n")

    assert (status, "printable" in reported["error"]) == (422, True)
