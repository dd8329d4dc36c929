"""Streamed answers: complete, in order, and closed when the client leaves."""

import asyncio

import msgspec
import pytest
from msgspec import Struct

from supervisor.api.piecewise import AT_ONCE, PiecewiseResponse, list_response


class Item(Struct, frozen=True):
    id: int


async def answered(response, receive=None):
    """Return the messages that a response sends; receive: the client's, by default it stays."""
    sent = []

    async def send(message):
        sent.append(message)
        await asyncio.sleep(0)

    async def stays():
        await asyncio.Event().wait()

    await response({"type": "http", "method": "GET"}, receive or stays, send)
    return sent


def listed(keys, values=lambda keys: [Item(key) for key in keys]):
    sent = asyncio.run(answered(list_response("items", keys, values)))
    body = b"".join(message.get("body", b"") for message in sent)
    return [each["id"] for each in msgspec.json.decode(body)["items"]], len(sent)


@pytest.mark.parametrize("count", [0, 1, AT_ONCE, AT_ONCE + 1, 10 * AT_ONCE])
def test_a_list_is_whole_and_in_order(count):
    assert listed(range(count))[0] == list(range(count))


def test_a_list_is_made_a_hundred_at_a_time():
    most = []

    def values(keys):
        most.append(len(keys))
        return [Item(key) for key in keys]

    listed(range(1000), values)

    assert max(most) == AT_ONCE


def test_values_that_cannot_be_read_are_left_out():
    kept = range(AT_ONCE + 50, 2 * AT_ONCE + 1)

    found, _ = listed(range(3 * AT_ONCE), lambda keys: [Item(k) for k in keys if k in kept])

    assert found == list(kept)


def test_the_pieces_end_when_the_client_leaves():
    ended = []

    async def follow():
        has_first = asyncio.Event()

        async def pieces():
            try:
                yield b"first"
                has_first.set()
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        async def leaves():
            await has_first.wait()
            return {"type": "http.disconnect"}

        return await answered(PiecewiseResponse(pieces()), leaves)

    sent = asyncio.run(follow())

    assert [message.get("body") for message in sent] == [None, b"first"]
    assert ended == [True]


def test_an_error_of_the_pieces_is_not_swallowed():
    async def pieces():
        yield b"first"
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(answered(PiecewiseResponse(pieces())))
