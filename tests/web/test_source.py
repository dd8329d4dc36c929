"""What the page asks of the supervisor: one question for all pages that wait for it."""

import asyncio
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.cli.client import Client
from supervisor.web.source import AnswerError, Source

PAGES = 5


@pytest.fixture
def silent() -> Iterator[tuple[Path, list[socket.socket]]]:
    """Yield a socket that takes requests, and a list of the connections that it has taken."""
    taken: list[socket.socket] = []
    with (
        tempfile.TemporaryDirectory(prefix="nightshift-", dir="/tmp") as folder,
        socket.socket(socket.AF_UNIX) as listening,
    ):
        path = Path(folder, "socket")
        listening.bind(str(path))
        listening.listen()

        def take_all() -> None:
            while True:
                try:
                    taken.append(listening.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take_all, daemon=True).start()
        yield path, taken
        listening.shutdown(socket.SHUT_RDWR)


def test_pages_that_wait_for_a_service_that_hangs_end_together(silent):
    path, taken = silent
    source = Source(Client(path))

    async def ask() -> list[object]:
        asked = [asyncio.ensure_future(source.status()) for _ in range(PAGES)]
        while not taken:
            await asyncio.sleep(0.01)
        taken[0].close()  # it ends without an answer
        return await asyncio.gather(*asked, return_exceptions=True)

    ended = asyncio.run(ask())

    assert [type(each) for each in ended] == [AnswerError] * PAGES
    assert len(taken) == 1


def test_what_was_asked_before_a_change_is_asked_again(silent):
    path, taken = silent
    source = Source(Client(path))

    async def ask() -> list[object]:
        before = asyncio.ensure_future(source.status())
        while not taken:
            await asyncio.sleep(0.01)
        source.forget()
        after = asyncio.ensure_future(source.status())
        while len(taken) < 2:
            await asyncio.sleep(0.01)
        for connection in taken:
            connection.close()
        return await asyncio.gather(before, after, return_exceptions=True)

    assert [type(each) for each in asyncio.run(ask())] == [AnswerError] * 2
