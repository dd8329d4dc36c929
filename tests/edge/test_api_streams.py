"""Streams: changes as server-sent events, and logs while they grow."""

import json

import pytest

from supervisor.api import ApiServer
from supervisor.api.bridge import RING
from supervisor.api.limits import ClientLimits
from supervisor.core.config_model import Api as Access
from supervisor.core.model import Run, State, Trigger, replace
from tests.edge.fixtures_api import AT, ask, stream

RUN = Run(4, "sync", AT.wall, Trigger.MANUAL, State.PENDING)


@pytest.fixture
def limits():
    return ClientLimits(ping_s=0.1)


def event(piece):
    """Return the fields of one event."""
    lines = [line.split(": ", 1) for line in piece.decode().strip().splitlines()]
    return dict(lines)


def events(pieces):
    """Return the events of a stream, without pings."""
    return (event(piece) for piece in pieces if not piece.startswith(b":"))


def test_changes_come_as_events_numbered_and_in_order(path, bridge):
    client, status, pieces = stream(path, "/v1/events")
    greeting = next(pieces)
    bridge.publish_changes([RUN, replace(RUN, state=State.RUNNING, attempt=1)])
    bridge.publish_changes([replace(RUN, state=State.SUCCESS, attempt=1)])

    found = [found for _, found in zip(range(3), events(pieces), strict=False)]

    assert (status, greeting[:1]) == (200, b":")
    assert [each["event"] for each in found] == ["run"] * 3
    assert [json.loads(each["data"])["state"] for each in found] == [
        "pending",
        "running",
        "success",
    ]
    numbers = [int(each["id"]) for each in found]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    client.close()


def test_a_silent_stream_sends_pings(path):
    client, _, pieces = stream(path, "/v1/events")

    assert [next(pieces), next(pieces)][1] == b": alive\n\n"
    client.close()


def test_a_reader_goes_on_where_it_was(path, bridge):
    bridge.publish_changes(
        [RUN, replace(RUN, state=State.RUNNING), replace(RUN, state=State.SUCCESS)]
    )
    first = bridge.newest - 2

    client, _, pieces = stream(path, "/v1/events", f"Last-Event-ID: {first}\r\n")
    found = events(pieces)

    assert json.loads(next(found)["data"])["state"] == "running"
    assert json.loads(next(found)["data"])["state"] == "success"
    client.close()


@pytest.mark.parametrize("after", ["1", "999999999999999999"], ids=["an old life", "the future"])
def test_a_reader_that_missed_events_is_informed_and_goes_on(path, bridge, after):
    client, _, pieces = stream(path, "/v1/events", f"Last-Event-ID: {after}\r\n")
    found = events(pieces)
    missed = next(found)
    bridge.publish_changes([RUN])

    assert missed["event"] == "missed"
    assert json.loads(next(found)["data"])["id"] == 4
    client.close()


def test_the_ring_is_bounded_and_says_what_it_lost(bridge):
    before = bridge.newest
    bridge.publish_changes([RUN] * (RING + 1))

    lost, whole = bridge.changes_after(before), bridge.changes_after(before + 1)

    assert (len(lost.changes), lost.missed) == (RING, True)
    assert (len(whole.changes), whole.missed) == (RING, False)


def test_a_last_event_that_is_no_number_is_refused(path):
    assert ask(path, "/v1/events", headers="Last-Event-ID: x\r\n")[0] == 422


def test_without_a_listener_no_thread_is_woken(path, bridge):
    bridge.publish_changes([RUN])

    assert bridge.on_changes is None


def test_streams_end_with_the_service(folder, bridge):
    api = ApiServer(folder / "s", Access(), bridge, folder)
    api.start()
    client, _, pieces = stream(folder / "s", "/v1/events")
    next(pieces)

    api.close()

    assert list(pieces) == []
    client.close()


def open_run(bridge):
    """Open the run in the published state."""
    bridge.scheduler.runs = bridge.scheduler.runs.set(RUN.id, RUN)


def test_a_log_is_followed_by_whole_lines_until_the_run_ends(path, folder, bridge):
    open_run(bridge)
    log = folder / "runs" / "4.log"
    log.write_bytes(b"one\ntw")
    client, status, pieces = stream(path, "/v1/runs/4/log?follow=1")
    first = next(pieces)
    with log.open("ab") as more:
        more.write(b"o\nthree")
    second = next(pieces)
    bridge.scheduler.runs = bridge.scheduler.runs.delete(RUN.id)

    assert (status, first, second) == (200, b"one\n", b"two\n")
    assert list(pieces) == [b"three"]
    client.close()


def test_a_log_that_is_long_is_followed_from_its_head_to_its_tail(path, folder, bridge):
    open_run(bridge)
    (folder / "runs" / "4.log").write_bytes(b"a" * 1023 + b"\n")
    (folder / "runs" / "4.log.1").write_bytes(b"%020d\n" % 5000 + b"end\n")
    client, _, pieces = stream(path, "/v1/runs/4/log?follow=true")
    bridge.scheduler.runs = bridge.scheduler.runs.delete(RUN.id)

    text = b"".join(pieces)

    assert text == b"a" * 1023 + b"\n\n--- 3976 bytes dropped ---\nend\n"
    client.close()


def test_the_log_of_a_run_that_nobody_knows_is_404(path):
    assert ask(path, "/v1/runs/5/log?follow=1")[0] == 404
